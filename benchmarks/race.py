"""How soon are the faces good? Each recipe trained by its own clock: seconds and images against distance.

    python -m benchmarks.race PHOTOGRAPHS                            learners, tutorial and default, two seeds: hours
    python -m benchmarks.race PHOTOGRAPHS default --images 100000    only those named, shorter
    python -m benchmarks.race PHOTOGRAPHS --folder KEPT              where the trainings are kept (default: results/race)

1,000 photographs are kept out of training. Every training stops at some twenty places, more of them early, and 1,000 faces
are judged against those photographs, outside the clock. The goal is the distance that the tutorial's recipe has at the
end; the table says how long each recipe takes to come below it and stay there. Learners' and tutorial's run as people run
them: every picture is decoded at every use. A recipe whose learning rate falls heads for --images.

Stopped and started again, it goes on. Seconds count only if all come from one machine that does nothing else meanwhile.
"""

import argparse
import csv
import math
import statistics
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure
from torch.utils.data import DataLoader, Subset
from torchvision.datasets import ImageFolder
from torchvision.transforms import Compose, InterpolationMode, Resize, ToTensor

from benchmarks import quality, recipes
from benchmarks.quality import HELD_OUT, load, split_at
from common import FaceError
from further import course
from measures.embedding import face_embedding, feature_distances, features
from measures.needs import Missing

RACED = ("learners", "tutorial", "default")
DECODING = ("learners", "tutorial")  # every picture at every use
GOAL = "tutorial"  # whose distance at the end is to be reached
LOOKS = 24


class Look(NamedTuple):
    """One judgement of one training: images seen, seconds trained, Fréchet distance in dlib's face embedding."""

    recipe: str
    seed: int
    images: int
    seconds: float
    distance: float


# --- Training and judging ---------------------------------------------------------------------------------------------


def epochs_at(last, count=LOOKS):
    """After which epochs to judge: at most `count` of them from 1 to `last`, each some factor after the one before."""
    return sorted({round(last ** (k / (count - 1))) for k in range(count)})


def decoding(folder, size, places, batch_size):
    """DataLoader of the pictures of an ImageFolder at these places, as most people write it: nothing is kept decoded."""
    shown = Compose([Resize((size, size), InterpolationMode.LANCZOS), ToTensor()])
    return DataLoader(Subset(ImageFolder(folder, shown), places.tolist()), batch_size, shuffle=True)


def entered(name, size, folder, photographs, places):
    """A recipe by its name, set up for the race. Returns (recipe, what `recipes.set_up` gave, what it is to train on)."""
    recipe = recipes.RECIPES[name]
    own = recipes.set_up(recipe, size)
    return recipe, own, decoding(folder, size, places, own.batch_size) if name in DECODING else photographs[places]


def race(name, seed, images, given, photographs, places, judge, kept):
    """Train one recipe with one seed until about `images` were seen, and judge it on the way. Returns the faces that it then
    makes, {name of a row: uint8 (N, 3, S, S)}: those of its average, if it has one, and those without.

    given: the folder of photographs and their size, as the command names them; photographs: uint8 (N, 3, S, S); places:
    int (M,), of those to train on; judge: function of uint8 faces that returns their distance; kept: folder, Path, where
    the training is kept and, in looks.csv, what was judged.
    """
    torch.manual_seed(seed)
    recipe, own, faces = entered(name, given.size, given.photographs, photographs, places)
    epoch = len(course.loader_of(own, faces).sampler)
    looks = read(kept / "looks.csv")
    for number in epochs_at(max(1, round(images / epoch))):
        images_then = number * epoch
        if looks and images_then <= looks[-1].images:
            continue
        run = recipes.train(recipe, own, faces, images, kept, so_far=images_then)
        torch.manual_seed(seed)  # the training goes on with its own random numbers, out of its checkpoint
        made = recipes.faces_of(own.G_average if recipe.averages else own.G, own, HELD_OUT)
        looks.append(Look(name, seed, run.images, round(run.seconds, 2), round(judge(made), 5)))
        write(kept / "looks.csv", looks)
        print(f"{name}, seed {seed}: {run.images:,} images, {run.seconds:,.0f} s, distance {looks[-1].distance:.4f}")
    recipes.train(recipe, own, faces, images, kept)  # read back, if it was whole before
    row = f"{name}, seed {seed}"
    generators = {row: own.G_average, f"{row}, not averaged": own.G} if recipe.averages else {row: own.G}
    return {row: recipes.faces_of(G, own) for row, G in generators.items()}


def read(path):
    """The Looks that a file holds; none if there is no such file."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        rows = list(csv.reader(file))[1:]
    return [Look(name, int(seed), int(images), float(s), float(distance)) for name, seed, images, s, distance in rows]


def write(path, looks):
    """Write Looks to a file, with a line of names on top."""
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([Look._fields, *looks])


# --- What came of it --------------------------------------------------------------------------------------------------


def seconds_below(looks, goal):
    """Seconds until one training's distance comes below `goal` and stays there; None if it does not.

    Between the last look that is not below and the next, distance against seconds is taken to be a straight line, both
    in logarithms.
    """
    above = [number for number, look in enumerate(looks) if look.distance >= goal]
    if not above:
        return looks[0].seconds
    if above[-1] == len(looks) - 1:
        return None
    before, after = looks[above[-1] : above[-1] + 2]
    share = math.log(before.distance / goal) / math.log(before.distance / after.distance)
    return before.seconds * (after.seconds / before.seconds) ** share


def distance_after(looks, seconds):
    """One training's distance after so many seconds, from its first look to its last; between two as in seconds_below."""
    times, distances = np.log([[look.seconds, look.distance] for look in looks]).T
    return float(np.exp(np.interp(math.log(seconds), times, distances)))


def at_equal_seconds(looks, defaults):
    """One training's distance in multiples of the default's, the mean of its trainings, after the seconds that all have."""
    seconds = min(training[-1].seconds for training in [looks, *defaults])
    return distance_after(looks, seconds) / statistics.fmean(distance_after(default, seconds) for default in defaults)


def table(trainings, goal):
    """Markdown table with a row for each training, a list of Looks. Both ratios are to the default, the mean of its
    trainings: of the seconds until the distance is below `goal`, and of the distance after as many seconds.
    """
    reached = [seconds_below(looks, goal) for looks in trainings]
    defaults = [looks for looks in trainings if looks[0].recipe == "default"]
    default = [seconds for looks, seconds in zip(trainings, reached, strict=True) if looks in defaults]
    base = statistics.fmean(default) if default and None not in default else None
    lines = ["| recipe | seed | images/s | images | distance then | x the default's at equal seconds | seconds to the goal "
             "| x the default's |", "|---|---:|---:|---:|---:|---:|---:|---:|"]
    for looks, seconds in zip(trainings, reached, strict=True):
        name, seed, images, whole, distance = looks[-1]
        equal = f"{at_equal_seconds(looks, defaults):.2f}" if defaults else "-"
        took = "not reached" if seconds is None else f"{seconds:,.0f}"
        ratio = f"{seconds / base:.2f}" if seconds and base else f"over {whole / base:.2f}" if base else "-"
        so_far = f"{images / whole:,.0f} | {images:,} | {distance:.4f}"
        lines.append(f"| {name} | {seed} | {so_far} | {equal} | {took} | {ratio} |")
    return "\n".join(lines)


def plot(trainings, goal, floor):
    """Distance against seconds, and against images: a line for each training, all axes logarithmic."""
    figure = Figure(figsize=(9, 4), dpi=110, layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    colours = {name: f"C{number}" for number, name in enumerate(dict.fromkeys(looks[0].recipe for looks in trainings))}
    for axis, measured in zip(axes, ("seconds", "images"), strict=True):
        for looks in trainings:
            label = looks[0].recipe if looks[0].seed == trainings[0][0].seed else None
            axis.plot([getattr(look, measured) for look in looks], [look.distance for look in looks], ".-",
                      color=colours[looks[0].recipe], alpha=0.8, label=label)
        axis.axhline(goal, color="grey", linestyle=":", label="the goal")
        axis.axhline(floor, color="grey", label="photographs")
        axis.set(xscale="log", yscale="log", xlabel=f"{measured} of training")
    axes[0].set_ylabel("Fréchet distance, less is better")
    axes[0].set_yticks([0.005, 0.01, 0.02, 0.05, 0.1, 0.2], ["0.005", "0.01", "0.02", "0.05", "0.1", "0.2"])
    axes[0].set_yticks([], minor=True)
    axes[1].legend()
    return figure


def main():
    parser = argparse.ArgumentParser(prog="python -m benchmarks.race", description=__doc__.splitlines()[0])
    parser.add_argument("photographs", help="folder of folders of pictures, as ImageFolder reads it")
    parser.add_argument("recipes", nargs="*", help=f"which of {', '.join(recipes.RECIPES)} (default: {', '.join(RACED)})")
    parser.add_argument("--images", type=int, default=400_000, help="images seen by each recipe (default 400,000)")
    parser.add_argument("--size", type=int, default=32, help="width in pixels: 32 or 64 (default 32)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1], help="a training with each (default 0 1)")
    parser.add_argument("--folder", default="results/race", help="where all is kept (default results/race)")
    given = parser.parse_intermixed_args()  # names may follow options
    names = given.recipes or RACED
    unknown = set(names) - set(recipes.RECIPES)
    if unknown:
        parser.error(f"there is no recipe {', '.join(unknown)}; there are {', '.join(recipes.RECIPES)}")
    folder, made = Path(given.folder), {}
    if GOAL not in names and not list(folder.glob(f"{GOAL}-{given.size}-*/looks.csv")):
        sys.exit(f"race.py: the goal is the distance of {GOAL}, which {folder} does not hold: let it race as well")
    try:
        photographs = load(given.photographs, given.size)
        places, held_out = split_at(photographs)
        train, reals = photographs[places], photographs[held_out]
        network = face_embedding()
        of_reals = features(network, reals)

        def judge(faces):
            return feature_distances(features(network, faces), of_reals)[0]

        floor = judge(train[: len(reals)])
        for seed in given.seeds:
            for name in names:
                kept = folder / f"{name}-{given.size}-{seed}"
                made |= race(name, seed, given.images, given, photographs, places, judge, kept)
    except (FaceError, ValueError, Missing) as error:
        sys.exit(f"race.py: {error}")
    trainings = [read(path) for path in sorted(folder.glob(f"*-{given.size}-*/looks.csv"))]
    goal = statistics.fmean(looks[-1].distance for looks in trainings if looks[0].recipe == GOAL)
    print(f"\nphotographs {floor:.4f}, the goal {goal:.4f}\n\n{table(trainings, goal)}\n")
    plot(trainings, goal, floor).savefig(folder / "race.png")
    print(f"{folder / 'race.png'}\n\nAt the end of each training, by all measures:\n")
    measured = {row: quality.measure(faces, reals, train) for row, faces in made.items()}
    print(quality.table({"photographs": quality.floor(reals, train), **measured}))


if __name__ == "__main__":
    main()
