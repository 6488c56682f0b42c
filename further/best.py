"""A recipe for long trainings, 400,000 images and more: the notebook's, with three things added.

1. z reaches every layer of G, not the first alone. A small network of its own, the mapping network (Karras et al., 2019),
   turns z into w, and w scales and shifts what each BatchNorm has normalised (Chen et al., 2019).
2. The learning rate falls to 0 over the last two fifths (with GANs as in Zhu et al., 2017), so that G comes to rest.
3. D learns the photographs by heart more slowly. With some ten thousand of them D begins to know them one by one,
   rather than what all faces have in common. Differentiable augmentation (Zhao et al., 2020) changes pictures a little,
   at random, before D looks: real and generated ones, in both steps. D seldom meets a picture twice, and G, whose
   gradient comes back through the change, does not learn the change. Two pictures in five stay as they are, and all of
   them until 800,000 photographs were trained on: so long D knows few by heart, and changed pictures only teach it more
   slowly. (Karras et al., 2020, steer how many are changed by what D does.)

In the notebook, after `from further import best`: the first two lines each below its class, in its cell; the third above the
run, in its cell, with `rates=rates` behind the optimizers among what the run is given, so that checkpoints keep it:

    Discriminator = best.augmented(Discriminator)
    Generator = best.styled(Generator)
    rates = best.Falling(epochs * len(loader), d_optimizer, g_optimizer)

benchmarks/README.md has its figures beside those of the notebook's own recipe, and best.md what makes faces good at all.
"""

import math

import torch
from torch import nn
from torch.nn import functional as F
from torch.optim.lr_scheduler import LambdaLR

from common import FaceError
from further.layers import ConditionalNorm


def styled(Generator):
    """Make of a class Generator one with a mapping network, and with w as the condition of each BatchNorm.

    Its layers must be the nn.Sequential `self.layers`, as the notebook's are. Raises: FaceError where they are not.
    """

    class Styled(Generator):
        def __init__(self, z_size, conv_dim, image_size=32):
            super().__init__(z_size, conv_dim, image_size)
            if not isinstance(getattr(self, "layers", None), nn.Sequential):
                raise FaceError("best.styled takes a Generator with all its layers in one nn.Sequential, self.layers.")
            self.mapping = nn.Sequential(nn.Linear(z_size, z_size), nn.LeakyReLU(0.2), nn.Linear(z_size, z_size))
            self.layers = nn.Sequential(*(ConditionalNorm(layer.num_features, z_size)
                                          if isinstance(layer, nn.BatchNorm2d) else layer for layer in self.layers))

        def forward(self, z):
            x, w = z[:, :, None, None], self.mapping(z)
            for layer in self.layers:
                x = layer(x, w) if isinstance(layer, ConditionalNorm) else layer(x)
            return x

    return Styled


def augment(x):
    """Change each picture's brightness, saturation, contrast and place a little, by amounts of its own.

    x: (B, 3, S, S) in [-1, 1]. Returns: the same shape, somewhat beyond that range; differentiable.
    """

    def amounts(most):  # one number a picture, -most to most
        return (2 * torch.rand(len(x), 1, 1, 1, device=x.device) - 1) * most

    x = x + amounts(0.15)
    grey = x.mean(1, keepdim=True)
    x = grey + (x - grey) * (1 + amounts(0.25))
    mean = x.mean((1, 2, 3), keepdim=True)
    x = mean + (x - mean) * (1 + amounts(0.15))

    pixels = x.shape[-1] // 16  # at most so many to each side; whole pixels, so that nothing is blurred
    shift = torch.randint(-pixels, pixels + 1, (len(x), 2), device=x.device)
    place = torch.eye(2, 3, device=x.device).repeat(len(x), 1, 1)
    place[:, :, 2] = 2 * shift / x.shape[-1]  # grid_sample counts a picture's width as 2
    grid = F.affine_grid(place, x.shape, align_corners=False)
    return F.grid_sample(x.float(), grid, padding_mode="border", align_corners=False)


def late(seen):
    """The share of pictures to augment, 0 to 1, when D has seen so many in training, three for each photograph."""
    return 0.6 * (seen >= 2_400_000)


def augmented(Discriminator, share=late):
    """Make of a class Discriminator one that looks at augmented pictures, late in a long training.

    Discriminator: a class whose forward takes pictures (B, 3, S, S) in [-1, 1] first.
    share: function of the pictures seen in training, a tensor; it says which share of the next ones to augment.
    """

    class Augmented(Discriminator):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self.register_buffer("seen", torch.tensor(0))  # so that a training that goes on goes on counting

        def forward(self, x):
            if self.training:
                now = share(self.seen)
                if x.is_cuda or now:  # to ask a GPU for the share would be to wait for it
                    x = torch.where(torch.rand(len(x), 1, 1, 1, device=x.device) < now, augment(x), x.float())
                self.seen += len(x)
            return super().forward(x)

    return Augmented


class Falling:
    """Learning rates that stay as they are for three fifths of a training and then fall, evenly, to 0.

    It steps by itself after each step of the optimizers. Give it to the run as one of its parts, behind the optimizers.

    steps: int, the batches of all of training; optimizers: one or several, each with a rate of its own.
    """

    def __init__(self, steps, *optimizers):
        self.steps = steps
        self.schedules = [LambdaLR(optimizer, self.share) for optimizer in optimizers]
        for optimizer, schedule in zip(optimizers, self.schedules, strict=True):
            optimizer.register_step_post_hook(lambda *_, schedule=schedule: schedule.step())

    def share(self, step):
        """What is left of the rate that training began with, 1 to 0, at a step counted from 0."""
        return min(1, max(0, 1 - step / self.steps) / 0.4)

    def state_dict(self):
        return {"steps": self.steps, "schedules": [schedule.state_dict() for schedule in self.schedules]}

    def load_state_dict(self, state):
        """Go on at the step that was reached. If training has become longer or shorter since, say what the rate does now."""
        for schedule, then in zip(self.schedules, state["schedules"], strict=True):
            schedule.load_state_dict(then)
            rates = [first * self.share(schedule.last_epoch) for first in schedule.base_lrs]
            for group, rate in zip(schedule.optimizer.param_groups, rates, strict=True):
                group["lr"] = rate
        if state["steps"] != self.steps:
            step, was = schedule.last_epoch, then["_last_lr"][0]
            falls = max(step, math.ceil(0.6 * self.steps))
            print(f"The learning rate was {was:.3g} after {step:,} of {state['steps']:,} steps. With {self.steps:,} steps "
                  f"it goes on at {rates[0]:.3g}, and falls from step {falls:,} on until it is 0 at step {self.steps:,}.")
