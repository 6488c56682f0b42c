"""What is the distance made of? The Fréchet distance of a generator's faces from photographs, taken apart.

    python -m benchmarks.gap PHOTOGRAPHS --generator results/generator.pt2

The Fréchet distance (Heusel et al., 2017) compares two clouds of points, one a face: where their centres lie, and how far
they spread in each direction. A G that makes too few kinds of faces spreads less than photographs do. In which directions
is seen along the photographs' principal axes: along the first axis they differ most, along the second most of what is
left. Rare are the faces outside of where 95 % of the photographs lie along an axis. The last two rows ask whether z that
are less alike, 1.05 and 1.1 times as long, make up for it.
"""

import argparse
import sys

import torch

from benchmarks.quality import DRAWS, HELD_OUT, generate, load, load_generator, split
from common import FaceError
from measures.embedding import face_embedding, feature_distances, features
from measures.needs import Missing

AXES = ((0, 1), (1, 2), (2, 3), (3, 16), (16, 128))  # groups of principal axes: the first, ..., the 17th to the last
HEADS = ("Fréchet, face embedding", "of it the centres", "variance", "1st axis", "2nd", "3rd", "4th to 16th", "the others",
         "rare along the 1st", "along the 2nd")


def principal_axes(points):
    """The directions in which points (N, D) spread most, one a column, in order: (D, D), each of length 1."""
    return torch.linalg.eigh(torch.cov(points.T)).eigenvectors.flip(1)


def apart(points, reals, axes):
    """Take the distance of points from reals apart, both (N, D), in draws of as many points as there are reals.

    axes: (D, D), what `principal_axes` gave. Returns: a list of floats in the order of HEADS: the Fréchet distance; how much
    of it is the squared distance of the centres; the variance, in parts of the reals': all of it, then that along each
    group of axes; and the shares of points outside of where 95 % of the reals lie along the first two axes.
    """
    draws = [part for part in points.split(len(reals)) if len(part) == len(reals)]
    distances = [feature_distances(part, reals)[0] for part in draws]
    centres = [(part.mean(0) - reals.mean(0)).square().sum().item() for part in draws]
    points, reals = points @ axes, reals @ axes
    variances = points.var(0), reals.var(0)
    ratios = [(variances[0][at:to].sum() / variances[1][at:to].sum()).item() for at, to in ((0, None), *AXES)]
    least, most = reals[:, :2].quantile(reals.new_tensor([0.025, 0.975]), 0)
    rare = ((points[:, :2] < least) | (points[:, :2] > most)).double().mean(0).tolist()
    return [sum(distances) / len(draws), sum(centres) / len(draws), *ratios, *rare]


def table(results):
    """Markdown table of {name: what `apart` gave}."""
    lines = [f"| | {' | '.join(HEADS)} |", f"|---|{'---:|' * len(HEADS)}"]
    for name, values in results.items():
        digits = (4, 4, *[2] * 6, 3, 3)
        lines.append(f"| {name} | {' | '.join(f'{x:.{n}f}' for x, n in zip(values, digits, strict=True))} |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gap", description=__doc__.splitlines()[0])
    parser.add_argument("photographs", help="folder of folders of pictures, as ImageFolder reads it")
    parser.add_argument("--generator", required=True, help="file saved by torch.export that gives faces for normal z")
    given = parser.parse_args()
    try:
        generator, z_size = load_generator(given.generator)
        made = {name: generate(lambda z, k=k: generator(k * z), z_size, DRAWS * HELD_OUT)
                for name, k in (("generated", 1), ("from z x 1.05", 1.05), ("from z x 1.1", 1.1))}
        train, reals = split(load(given.photographs, made["generated"].shape[-1]))
        order = torch.randperm(len(train), generator=torch.Generator().manual_seed(1))
        made = {"photographs": train[order[:DRAWS * HELD_OUT]]} | made
        points = {name: features(face_embedding(), faces) for name, faces in made.items()}
        of_reals = features(face_embedding(), reals)
    except (FaceError, Missing, ValueError) as error:
        sys.exit(f"gap.py: {error}")
    axes = principal_axes(points["photographs"])
    print(table({name: apart(some, of_reals, axes) for name, some in points.items()}))


if __name__ == "__main__":
    main()
