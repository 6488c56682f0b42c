"""What the notebook is compared with: the networks that learners hand in and those of PyTorch's tutorial, for 32 x 32.

LEARNERS and TUTORIAL, at the end, hold all that differs from the notebook, for `course.set_up`.
"""

import itertools
from types import SimpleNamespace

import torch
import torch.nn.functional as F
from torch import nn

import helper

# In place of the notebook's helper: all convolutions in float32
IN_FLOAT32 = SimpleNamespace(**vars(helper) | {"fast_math": lambda device: torch.autocast(device.type, enabled=False)})

# In place of the notebook's helper: autocast as it comes, which keeps the weights that it has rounded until a batch is done,
# so that G's step asks the D from before D's step
KEEPS_ROUNDED = SimpleNamespace(**vars(helper) | {"fast_math": lambda device: torch.autocast(device.type, torch.bfloat16)})


def label_one(D_out):
    """Binary cross-entropy of logits D_out (B, 1) against "real", with the label 1."""
    return F.binary_cross_entropy_with_logits(D_out.float(), torch.ones_like(D_out, dtype=torch.float32))


def label_zero(D_out):
    """Binary cross-entropy of logits D_out (B, 1) against "generated", the label 0."""
    return F.binary_cross_entropy_with_logits(D_out.float(), torch.zeros_like(D_out, dtype=torch.float32))


def unchanged(images):
    """In place of mirror_half."""
    return images


def uniform_z(count, z_size, device):
    """z uniform in [-1, 1]: (count, z_size)."""
    return torch.rand(count, z_size, device=device) * 2 - 1


def at_every_second(name):
    """The step of this name at every second batch only; in between it returns the loss that it had. For `Recipe.steps`."""

    def steps(own):
        both = {each: getattr(own, each) for each in ("discriminator_step", "generator_step")}
        step, count, latest = both[name], itertools.count(), []

        def seldom(*arguments):
            if next(count) % 2 == 0:
                latest[:] = [step(*arguments)]
            return latest[0]

        return (both | {name: seldom}).values()

    return steps


# --- Learners of this course ------------------------------------------------------------------------------------------


class LearnersDiscriminator(nn.Module):
    """What most learners of this course hand in: three strided convolutions and a linear layer."""

    def __init__(self, conv_dim, image_size=32):
        super().__init__()
        self.conv1 = nn.Conv2d(3, conv_dim, 4, 2, 1, bias=False)
        self.conv2 = nn.Conv2d(conv_dim, 2 * conv_dim, 4, 2, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(2 * conv_dim)
        self.conv3 = nn.Conv2d(2 * conv_dim, 4 * conv_dim, 4, 2, 1, bias=False)
        self.norm3 = nn.BatchNorm2d(4 * conv_dim)
        self.last = nn.Linear(4 * conv_dim * 4 * 4, 1)

    def forward(self, x):
        x = F.leaky_relu(self.conv1(x), 0.2)
        x = F.leaky_relu(self.norm2(self.conv2(x)), 0.2)
        x = F.leaky_relu(self.norm3(self.conv3(x)), 0.2)
        return self.last(x.flatten(1)).float()


class LearnersGenerator(nn.Module):
    """What most learners of this course hand in: a linear layer and three transposed convolutions."""

    def __init__(self, z_size, conv_dim, image_size=32):
        super().__init__()
        self.z_size, self.conv_dim = z_size, conv_dim
        self.first = nn.Linear(z_size, 4 * conv_dim * 4 * 4)
        self.up1 = nn.ConvTranspose2d(4 * conv_dim, 2 * conv_dim, 4, 2, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(2 * conv_dim)
        self.up2 = nn.ConvTranspose2d(2 * conv_dim, conv_dim, 4, 2, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(conv_dim)
        self.up3 = nn.ConvTranspose2d(conv_dim, 3, 4, 2, 1, bias=False)

    def forward(self, z):
        x = self.first(z).view(-1, 4 * self.conv_dim, 4, 4)
        x = F.relu(self.norm1(self.up1(x)))
        x = F.relu(self.norm2(self.up2(x)))
        return torch.tanh(self.up3(x))


# --- PyTorch's DCGAN tutorial (Inkawhich), one layer shorter each, for 32 instead of 64 pixels ------------------------


class TutorialDiscriminator(nn.Sequential):
    """Strided convolutions alone; pictures (B, 3, 32, 32) -> logits (B, 1)."""

    def __init__(self, conv_dim, image_size=32):
        def down(inward, outward):
            return nn.Conv2d(inward, outward, 4, 2, 1, bias=False), nn.BatchNorm2d(outward), nn.LeakyReLU(0.2)

        super().__init__(
            nn.Conv2d(3, conv_dim, 4, 2, 1, bias=False), nn.LeakyReLU(0.2),
            *down(conv_dim, 2 * conv_dim), *down(2 * conv_dim, 4 * conv_dim),
            nn.Conv2d(4 * conv_dim, 1, 4, bias=False), nn.Flatten(),
        )


class TutorialGenerator(nn.Sequential):
    """Transposed convolutions alone; z (B, z_size) -> pictures (B, 3, 32, 32)."""

    def __init__(self, z_size, conv_dim, image_size=32):
        def up(inward, outward, *where):
            return nn.ConvTranspose2d(inward, outward, 4, *where, bias=False), nn.BatchNorm2d(outward), nn.ReLU()

        super().__init__(
            nn.Unflatten(1, (z_size, 1, 1)), *up(z_size, 4 * conv_dim, 1, 0), *up(4 * conv_dim, 2 * conv_dim, 2, 1),
            *up(2 * conv_dim, conv_dim, 2, 1), nn.ConvTranspose2d(conv_dim, 3, 4, 2, 1, bias=False), nn.Tanh(),
        )
        self.z_size = z_size


def tutorial_weights(m):
    """The tutorial's first weights, BatchNorm's around 1 among them; for Module.apply."""
    if isinstance(m, (nn.Conv2d, nn.ConvTranspose2d)):
        nn.init.normal_(m.weight, 0.0, 0.02)
    elif isinstance(m, nn.BatchNorm2d):
        nn.init.normal_(m.weight, 1.0, 0.02)


# --- What differs -----------------------------------------------------------------------------------------------------

# 32 channels, batch 128, z uniform, label 1, no mirror images, float32
LEARNERS = {
    "helper": IN_FLOAT32,
    "Discriminator": LearnersDiscriminator, "Generator": LearnersGenerator, "d_conv_dim": 32, "g_conv_dim": 32,
    "z_size": 100, "batch_size": 128, "learning_rate": 2e-4, "betas": (0.5, 0.999), "real_loss": label_one,
    "mirror_half": unchanged, "random_z": uniform_z,
}
# 64 channels, batch 128, normal z of 100, label 1, no mirror images, float32
TUTORIAL = {
    "helper": IN_FLOAT32,
    "Discriminator": TutorialDiscriminator, "Generator": TutorialGenerator, "weights_init_normal": tutorial_weights,
    "d_conv_dim": 64, "g_conv_dim": 64, "z_size": 100, "batch_size": 128, "learning_rate": 2e-4, "betas": (0.5, 0.999),
    "real_loss": label_one, "fake_loss": label_zero, "mirror_half": unchanged,
}
