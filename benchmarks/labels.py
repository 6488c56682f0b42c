"""Do labels make better faces? A recipe, and the same that is told the class of each picture, in one table.

    python -m benchmarks.labels SORTED                    a folder with a folder for each class, 65,538 images
    python -m benchmarks.labels SORTED --seeds 0 1        two trainings each
    python -m benchmarks.labels SORTED --recipe best --images 2000000

G is given a class beside z (Mirza and Osindero, 2014), and D's answer has a part that asks how well the picture fits its
class: a product of features and class (Miyato and Koyama, 2018). A picture carries its class as maps behind its colours.
Faces of all classes, each as often as in the data, are judged as those of any other recipe. How to sort photographs by a
list: further/classes.py.
"""

import argparse
import sys
from pathlib import Path

import torch
from torch import nn

from benchmarks.quality import floor, measure, split_at, table
from benchmarks.recipes import RECIPES, faces_of, set_up, train
from common import FaceError
from further import best, classes, course

PARTS = {"default": (lambda D: D, lambda G: G), "best": (best.augmented, best.styled)}  # what a recipe does to the networks


def with_maps(images, labels):
    """Lay behind the colours a map for each class, 255 for the picture's own and 0 for the others.

    images: uint8 (N, 3, S, S); labels: int (N,), 0 to classes - 1. Returns: uint8 (N, 3 + classes, S, S).
    """
    maps = (labels[:, None] == torch.arange(int(labels.max()) + 1)).to(torch.uint8) * 255
    return torch.cat([images, maps[:, :, None, None].expand(-1, -1, *images.shape[2:])], 1)


def told(labels, name="default"):
    """A recipe of PARTS whose networks are told the class: a Recipe for pictures that `with_maps` made; labels: int (N,).

    The last number of z decides on the class, by thresholds between which a normal number falls as often as the data has
    that class; so z is normal as everywhere. In training G's pictures carry the maps that D asks for.
    """
    notebook, shares = course.load(), torch.bincount(labels) / len(labels)
    of_d, of_g = PARTS[name]
    count = len(shares)

    class Features(notebook.Discriminator):
        def forward(self, x):
            return self.layers[:-1](x)

    class Discriminator(of_d(Features)):
        def __init__(self, conv_dim, image_size=32):
            super().__init__(conv_dim, image_size)
            self.of_class = nn.Parameter(torch.zeros(count, self.layers[-1].in_channels))

        def forward(self, x):
            own = (x[:, 3:, 0, 0] > 0).float()
            features = super().forward(x[:, :3])
            fits = (features.float().mean((2, 3)) * (own @ self.of_class)).sum(1, keepdim=True)
            return self.layers[-1](features).flatten(1).float() + fits

    class Generator(of_g(notebook.Generator)):
        def __init__(self, z_size, conv_dim, image_size=32):
            super().__init__(z_size - 1 + count, conv_dim, image_size)
            self.z_size = z_size
            self.register_buffer("thresholds", torch.distributions.Normal(0.0, 1.0).icdf(shares.cumsum(0)[:-1]))
            self.register_buffer("numbers", torch.arange(count))

        def forward(self, z):
            own = (torch.bucketize(z[:, -1].contiguous(), self.thresholds)[:, None] == self.numbers).to(z.dtype)
            pictures = super().forward(torch.cat([z[:, :-1], own], 1))
            if not self.training:
                return pictures
            return torch.cat([pictures, (2 * own - 1)[:, :, None, None].expand(-1, -1, *pictures.shape[2:])], 1)

    return RECIPES[name]._replace(given={"Discriminator": Discriminator, "Generator": Generator, "z_size": 129})


def main():
    parser = argparse.ArgumentParser(prog="python -m benchmarks.labels", description=__doc__.splitlines()[0])
    parser.add_argument("photographs", help="a folder with a folder of pictures for each class")
    parser.add_argument("--recipe", choices=PARTS, default="default", help="that is told or not (default: the default)")
    parser.add_argument("--images", type=int, default=65_538, help="images seen by each of the two (default 65,538)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="a training with each (default 0)")
    parser.add_argument("--folder", help="keep each training here, and go on with what is kept (default: keep none)")
    given = parser.parse_args()
    try:
        images, labels, _ = classes.load(given.photographs)
        at, held_out = split_at(images)
        photographs, reals, results = images[at], images[held_out], {}
        results["photographs"] = floor(reals, photographs)
        contestants = {given.recipe: (RECIPES[given.recipe], photographs),
                       f"{given.recipe}, labels": (told(labels[at], given.recipe), with_maps(photographs, labels[at]))}
        for seed in given.seeds:
            for name, (recipe, pictures) in contestants.items():
                torch.manual_seed(seed)
                own = set_up(recipe, 32)
                run = train(recipe, own, pictures, given.images,
                            Path(given.folder) / f"{name.replace(', ', '-')}-32-{seed}" if given.folder else None)
                row = f"{name}, seed {seed}, {run.images:,} images, {run.seconds:,.0f} s"
                results[row] = measure(faces_of(own.G_average, own), reals, photographs)
    except (FaceError, ValueError) as error:
        sys.exit(f"labels.py: {error}")
    print(table(results))


if __name__ == "__main__":
    main()
