"""Over how long should G be averaged? One training with several moving averages, each judged at the end.

    python -m benchmarks.averages PHOTOGRAPHS                   the notebook's recipe, 400,000 images
    python -m benchmarks.averages PHOTOGRAPHS --folder KEPT     one that can be stopped

The notebook's average has a half-life of a tenth of the training so far. Nothing in training looks at the average, so that
half-lives can be compared in one training, and chosen after it (as in Karras et al., 2024).
"""

import argparse
import sys
from pathlib import Path

import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

import helper
from benchmarks.quality import floor, load, measure, split, table
from benchmarks.recipes import RECIPES, faces_of, set_up
from common import FaceError
from further import course

SHARES = (0.02, 0.05, 0.1, 0.2, 0.4)  # half-lives, in parts of the training so far


def averaged(G, share):
    """The notebook's moving average of G, with another half-life: `share` of the training so far."""

    def average(kept, newest, count):
        get_ema_multi_avg_fn(0.5 ** (1 / (share * int(G_average.n_averaged))))(kept, newest, count)

    G_average = AveragedModel(G, multi_avg_fn=average)
    return G_average


class Averages(dict):
    """Several moving averages by name, which `train` takes for one."""

    def update_parameters(self, G):
        for average in self.values():
            average.update_parameters(G)


def train(photographs, images, folder, size=32):
    """Train the notebook's recipe on photographs, uint8 (N, 3, S, S). Returns what `recipes.set_up` gave, and Averages."""
    own = set_up(RECIPES["default"], size)
    averages = Averages({f"half-life {share}": averaged(own.G, share) for share in SHARES})

    def loop(run, loader):
        own.train(own.D, own.G, averages, loader, own.d_optimizer, own.g_optimizer, own.discriminator_step,
                  own.generator_step, run)

    parts = {name: part for name, part in course.parts_of(own).items() if name != "G_average"} | averages
    course.fit(own, photographs, images, folder, loop, parts,
               helper.FixedFaces(averages["half-life 0.1"], own.random_z(8, own.z_size, own.device)))
    return own, averages


def main():
    parser = argparse.ArgumentParser(prog="python -m benchmarks.averages", description=__doc__.splitlines()[0])
    parser.add_argument("photographs", help="folder of folders of pictures, as ImageFolder reads it")
    parser.add_argument("--images", type=int, default=400_000, help="images seen (default 400,000)")
    parser.add_argument("--size", type=int, default=32, help="width in pixels: 32 or 64 (default 32)")
    parser.add_argument("--seed", type=int, default=0, help="of the weights and of all that is drawn (default 0)")
    parser.add_argument("--folder", help="keep the training here, and go on with what is kept (default: keep none)")
    given = parser.parse_args()
    torch.manual_seed(given.seed)
    try:
        photographs, reals = split(load(given.photographs, given.size))
        kept = Path(given.folder) / f"averages-{given.size}-{given.seed}" if given.folder else None
        own, averages = train(photographs, given.images, kept, given.size)
    except (FaceError, ValueError) as error:
        sys.exit(f"averages.py: {error}")
    results = {"photographs": floor(reals, photographs)}
    for name, G in {"not averaged": own.G, **averages}.items():
        results[name] = measure(faces_of(G, own), reals, photographs)
    print(table(results))


if __name__ == "__main__":
    main()
