"""A recipe for long trainings, some two million images: the notebook's, with two things added for the later part.

1. D learns the photographs by heart more slowly. With some ten thousand of them D begins to know them one by one,
   rather than what all faces have in common. Differentiable augmentation (Zhao et al., 2020) changes pictures a little,
   at random, before D looks: real and generated ones, in both steps. D seldom meets a picture twice, and G, whose
   gradient comes back through the change, does not learn the change. Two pictures in five stay as they are, and all of
   them until 800,000 photographs were trained on: so long D knows few by heart, and changed pictures only teach it more
   slowly. (Karras et al., 2020, steer how many are changed by what D does.)
2. The learning rate falls to 0 towards the end (with GANs as in Zhu et al., 2017), so that G comes to rest.

In the notebook, with `from further.best import Discriminator, FallingAdam`: that Discriminator in place of your own, and
optimizers that know how long the training will be:

    d_optimizer = FallingAdam(D.parameters(), learning_rate, betas, steps=helper.epochs(default=6) * len(loader))

README.md has its figures beside those of the notebook's own recipe.
"""

import sys
from pathlib import Path

import torch
from torch.nn import functional as F

sys.path.append(str(Path(__file__).resolve().parents[1] / "benchmarks"))
import cells  # noqa: E402


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


class Discriminator(cells.load().Discriminator):
    """The notebook's Discriminator; late in a long training, most of the pictures that it sees are augmented."""

    def __init__(self, conv_dim, image_size=32):
        super().__init__(conv_dim, image_size)
        self.seen = 0  # pictures in training, three for each photograph trained on

    def extra_repr(self):
        return "sees augmented pictures"  # so no checkpoint of another D is mistaken for its own

    def get_extra_state(self):  # so that a training that goes on goes on counting
        return torch.tensor(self.seen)

    def set_extra_state(self, state):
        self.seen = int(state)

    def share(self):
        """Of the pictures that come next, the share to augment."""
        return 0.6 if self.seen >= 2_400_000 else 0

    def forward(self, x):
        if self.training:
            share = self.share()
            if share:
                x = torch.where(torch.rand(len(x), 1, 1, 1, device=x.device) < share, augment(x), x.float())
            self.seen += len(x)
        return super().forward(x)


class FallingAdam(torch.optim.Adam):
    """Adam whose learning rate falls, evenly, to 0 over the last two fifths of `steps`, the batches of all of training."""

    def __init__(self, parameters, learning_rate, betas, steps):
        super().__init__(parameters, learning_rate, betas, fused=True)
        self.steps = steps
        for group in self.param_groups:
            group |= {"initial_lr": learning_rate, "taken": 0}  # kept in checkpoints

    def step(self, closure=None):
        for group in self.param_groups:
            left = max(0, 1 - group["taken"] / self.steps)
            group["lr"] = group["initial_lr"] * min(1, left / 0.4)
            group["taken"] += 1
        return super().step(closure)
