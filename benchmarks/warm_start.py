"""Does a training begin better with small pictures? The default, and the default after a beginning at half the size.

    python -m benchmarks.warm_start PHOTOGRAPHS                65,538 images, and as many seconds for the other
    python -m benchmarks.warm_start PHOTOGRAPHS --seeds 0 1    two trainings each

Small pictures cost less and show what a face is as a whole, and so growing networks begin with them (Karras et al., 2018,
"Progressive Growing of GANs"). Here nothing fades in: the notebook's own networks for half the size are trained for a
share of the seconds, then the layers that both sizes have go over into fresh ones. Equal seconds: let nothing else run.
"""

import argparse
import sys

import torch
import torch.nn.functional as F

from benchmarks.quality import floor, load, measure, split, table
from benchmarks.recipes import faces_of
from common import FaceError
from further import course

SIZE, SHARE = 32, 0.2  # of the pictures; of the seconds, spent on pictures of half the size


def small():
    """The notebook's networks for half the size, twice as wide: so G begins with the same layers, and D ends with them."""
    full = course.set_up()
    return course.set_up(image_size=SIZE // 2, d_conv_dim=2 * full.d_conv_dim, g_conv_dim=2 * full.g_conv_dim)


def hand_over(before, after):
    """Copy what both sizes have from `before` to `after`, modules of `course.set_up`: G's first layers and D's last."""
    for few, more in ((list(before.G.layers), list(after.G.layers)), (before.D.layers[::-1], after.D.layers[::-1])):
        for layer, new in zip(few, more, strict=False):
            state, fresh = layer.state_dict(), new.state_dict()
            if state.keys() != fresh.keys() or any(state[name].shape != fresh[name].shape for name in state):
                break  # from here on the two are layers of other sizes
            new.load_state_dict(state)


def warm(photographs, seconds):
    """Train at half the size, then at the full one, for so many seconds in all. Returns (own, runs: at each size)."""
    before, after = small(), course.set_up()
    half = F.avg_pool2d(photographs.float(), 2).round().to(torch.uint8)
    runs = [course.fit(before, course.loader_of(before, half, 1000), 1000, None, seconds=SHARE * seconds)]
    hand_over(before, after)
    runs += [course.fit(after, course.loader_of(after, photographs, 1000), 1000, None, seconds=(1 - SHARE) * seconds)]
    return after, runs


def main():
    parser = argparse.ArgumentParser(prog="python -m benchmarks.warm_start", description=__doc__.splitlines()[0])
    parser.add_argument("photographs", help="folder of folders of pictures, as ImageFolder reads it")
    parser.add_argument("--images", type=int, default=65_538, help="images seen by the default (default 65,538)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="a training with each (default 0)")
    given = parser.parse_args()
    try:
        photographs, reals = split(load(given.photographs, SIZE))
        results = {"photographs": floor(reals, photographs)}
        for seed in given.seeds:
            torch.manual_seed(seed)
            own = course.set_up()
            run = course.fit(own, photographs, given.images, None)
            row = f"default, seed {seed}, {run.images:,} images, {run.seconds:,.0f} s"
            results[row] = measure(faces_of(own.G_average, own), reals, photographs)
            torch.manual_seed(seed)
            own, runs = warm(photographs, run.seconds)
            row = (f"warm start, seed {seed}, {' and '.join(f'{run.images:,}' for run in runs)} images, "
                   f"{sum(run.seconds for run in runs):,.0f} s")
            results[row] = measure(faces_of(own.G_average, own), reals, photographs)
            print(table(results), flush=True)
    except (FaceError, ValueError) as error:
        sys.exit(f"warm_start.py: {error}")


if __name__ == "__main__":
    main()
