"""A recipe for long trainings: the notebook's, with a discriminator that learns the photographs by heart more slowly.

With some ten thousand photographs D begins to know them one by one, and what it then teaches G is no longer what a face
looks like. Differentiable augmentation (Zhao et al., 2020) changes pictures a little, at random, before D looks: real and
generated ones, in both steps. D seldom meets a picture twice, and G, whose gradient comes back through the change, does
not learn the change. It is left out now and then, the less often the longer training lasts (after Karras et al., 2020, who
steer this by what D does): at first D knows no photograph by heart, and changed pictures only teach it more slowly.

In the notebook, `from further.best import Discriminator` takes the place of the class; all else stays. After 400,000
images it still held the faces back; after 2,000,000 it has not been compared with the notebook's own yet. README.md has
the figures.
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
    """The notebook's Discriminator; in training, more and more of the pictures that it sees are augmented."""

    def __init__(self, conv_dim, image_size=32):
        super().__init__(conv_dim, image_size)
        self.register_buffer("seen", torch.zeros(()))  # pictures, three for each photograph trained on; kept in checkpoints

    def extra_repr(self):
        return "sees augmented pictures"  # so no checkpoint of another D is mistaken for its own

    def forward(self, x):
        if self.training:
            share = (self.seen / 3_000_000).clamp(max=0.8)  # after 800,000 photographs four in five
            self.seen += len(x)
            x = torch.where(torch.rand(len(x), 1, 1, 1, device=x.device) < share, augment(x), x.float())
        return super().forward(x)
