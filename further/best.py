"""The best recipe we know for faces: the notebook's, with a discriminator that never sees a picture twice.

With some ten thousand photographs D begins to know them one by one, and what it then teaches G is no longer what a face
looks like. Differentiable augmentation (Zhao et al., 2020) changes every picture a little, at random, before D looks: the
real and the generated ones, in both steps. D cannot learn pictures by heart, and G, whose gradient comes back through the
change, does not learn the change: its faces are the pictures before it.

In the notebook, run the class below in the place of `Discriminator`; all else stays. For long trainings: the first
hundred thousand pictures teach more without it. README.md has the figures, `benchmarks/recipes.py` trains it ("best").
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
    """The notebook's Discriminator; in training it sees augmented pictures only."""

    def forward(self, x):
        return super().forward(augment(x) if self.training else x)
