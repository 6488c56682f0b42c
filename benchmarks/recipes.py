"""Which recipe makes the better faces? Several, trained on the same photographs by the notebook's own loop, in one table.

    python -m benchmarks.recipes PHOTOGRAPHS                            the four of the comparison, 400,000 images seen
    python -m benchmarks.recipes PHOTOGRAPHS --images 65538 hinge r1    only those named
    python -m benchmarks.recipes PHOTOGRAPHS --folder runs              one that can be stopped, and trained further later

1,000 photographs are kept out of training; the faces are compared with them (benchmarks/quality.py). The table so far is
printed after every recipe. Seconds are those of training alone, on whatever machine this runs; r_v says how far D knows
the photographs by heart, from 0 to 1.
"""

import argparse
import sys
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch

import helper
from benchmarks import architectures
from benchmarks.others import IN_FLOAT32, KEEPS_ROUNDED, LEARNERS, TUTORIAL, at_every_second, label_one, unchanged
from benchmarks.quality import DRAWS, HELD_OUT, floor, load, measure, split, table
from common import FaceError
from further import best, course, fast, layers, losses, stability

NOTEBOOK = course.load()


class Recipe(NamedTuple):
    """What differs from the notebook: values in place of its own, its two steps, and what is done before training."""

    given: dict = {}  # for course.set_up: Discriminator, learning_rate, batch_size, ...
    steps: object = None  # function of what set_up gave that makes discriminator_step and generator_step
    falls: bool = False  # does the learning rate fall to 0 over the last two fifths?
    d_rate: float = 1  # D's learning rate, in multiples of G's
    averages: bool = True  # is the averaged generator the one to be judged, and the plain one only beside it?


# --- The recipes ------------------------------------------------------------------------------------------------------


def changed(name, instead):
    """The default with another class in place of the notebook's class of this name: what `instead` makes of it."""
    return Recipe({name: instead(getattr(NOTEBOOK, name))})


COMPARED = {
    "learners": Recipe(LEARNERS, averages=False),
    "tutorial": Recipe(TUTORIAL, averages=False),
    "default": Recipe(),
    "best": Recipe({"Discriminator": best.augmented(NOTEBOOK.Discriminator), "Generator": best.styled(NOTEBOOK.Generator)},
                   falls=True),
}
WIDE = {"d_conv_dim": 96, "g_conv_dim": 96}
RECIPES = COMPARED | {
    "best_96": COMPARED["best"]._replace(given=COMPARED["best"].given | WIDE),
    "best_relativistic": COMPARED["best"]._replace(steps=losses.relativistic),
    # the default with one thing changed
    "falling": Recipe(falls=True),
    "rate_0002": Recipe({"learning_rate": 2e-4}),
    "rate_0006": Recipe({"learning_rate": 6e-4}),
    "rate_0008": Recipe({"learning_rate": 8e-4}),
    "batch_16": Recipe({"batch_size": 16}),
    "batch_64": Recipe({"batch_size": 64}),
    "batch_128": Recipe({"batch_size": 128}),
    "batch_64_rate_0006": Recipe({"batch_size": 64, "learning_rate": 5.7e-4}),
    "batch_128_rate_0008": Recipe({"batch_size": 128, "learning_rate": 8e-4}),
    "batch_256_rate_0011": Recipe({"batch_size": 256, "learning_rate": 1.13e-3}),
    "beta1_0": Recipe({"betas": (0.0, 0.999)}),
    "beta1_05": Recipe({"betas": (0.5, 0.999)}),
    "z_64": Recipe({"z_size": 64}),
    "z_256": Recipe({"z_size": 256}),
    "channels_32": Recipe({"d_conv_dim": 32, "g_conv_dim": 32}),
    "channels_96": Recipe(WIDE),
    "without_mirror": Recipe({"mirror_half": unchanged}),
    "without_smoothing": Recipe({"real_loss": label_one}),
    "smoothed_for_d": Recipe(steps=losses.smoothed_for_d),
    "float32": Recipe({"helper": IN_FLOAT32}),
    "former_d": Recipe({"helper": KEEPS_ROUNDED}),
    "lazy_d": Recipe(steps=at_every_second("discriminator_step")),
    "lazy_g": Recipe(steps=at_every_second("generator_step")),
    # the losses of other papers
    "two_time_scales": Recipe(d_rate=2),  # Heusel et al., 2017
    "hinge": Recipe(steps=losses.hinge),
    "relativistic": Recipe(steps=losses.relativistic),
    "r1": Recipe(steps=stability.lazy_r1),
    # their networks
    "residual": Recipe({name: layers.with_shortcuts(getattr(NOTEBOOK, name)) for name in ("Discriminator", "Generator")}),
    "spectral_norm": changed("Discriminator", layers.spectral),
    "minibatch_std": changed("Discriminator", architectures.comparing),
    "random_features": changed("Discriminator", architectures.on_random_features),
    "styled": changed("Generator", best.styled),
    "excited": changed("Generator", architectures.excited),
    "attention": Recipe({"Discriminator": architectures.attending(NOTEBOOK.Discriminator, 2, 64),
                         "Generator": architectures.attending(NOTEBOOK.Generator, 9, 64)}),
    # both
    "steered": changed("Discriminator", architectures.steered)._replace(steps=architectures.steering),
    "norm_free": Recipe(architectures.NORM_FREE, architectures.paired),
    "norm_free_lazy": Recipe(architectures.NORM_FREE, partial(architectures.paired, every=4)),
}

# Steps for further/fast.py, None being the notebook's own; others count batches, read numbers or need float32.
RECORDABLE = (None, losses.hinge, losses.relativistic, losses.smoothed_for_d)


# --- The comparison ---------------------------------------------------------------------------------------------------


def set_up(recipe, size):
    """Make the recipe's networks and optimizers for pictures of size x size, as `course.set_up` does."""
    own = course.set_up(image_size=size, **recipe.given)
    if recipe.steps:
        own.discriminator_step, own.generator_step = recipe.steps(own)
    own.d_optimizer.param_groups[0]["lr"] *= recipe.d_rate
    return own


def train(recipe, own, photographs, images, folder, so_far=None):
    """Train what `set_up` made on photographs, uint8 (N, 3, S, S), until about `images` were seen. Returns the TrainingRun.

    A folder that holds an earlier training of the same networks is gone on with, from its last checkpoint.
    so_far: int, stop when about so many of the `images` were seen; None: at the end.
    """
    parts = course.parts_of(own)
    if recipe.falls:
        parts["rates"] = best.Falling(course.steps_for(own, photographs, images), own.d_optimizer, own.g_optimizer)
    recordable = recipe.steps in RECORDABLE and "helper" not in recipe.given
    loop = fast.loop(own) if own.device.type == "cuda" and recordable else None
    return course.fit(own, photographs, so_far or images, folder, loop, parts)


def faces_of(G, own, count=DRAWS * HELD_OUT):
    """`count` faces of a generator trained with `own`, uint8 (count, 3, S, S)."""
    z = own.random_z(count, own.z_size, next(G.parameters()).device)
    return torch.from_numpy(helper.to_pixels(helper.generate(G, z))).permute(0, 3, 1, 2).contiguous()


def overfitting(own, reals, photographs):
    """How far D knows the photographs that it was trained on by heart: r_v of Karras et al. (2020), "Training Generative
    Adversarial Networks with Limited Data". 0: D answers to photographs kept out of training just as it does to those;
    1: it takes them for generated ones. Faces uint8 (N, 3, S, S).
    """
    device = next(own.D.parameters()).device
    own.D.eval()
    with torch.no_grad():
        known, new, made = (
            own.D(own.scale(faces[:HELD_OUT].to(device).float() / 255)).mean().item()
            for faces in (photographs, reals, faces_of(own.G, own))
        )
    return (known - new) / (known - made)


def main():
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recipes", description=__doc__.splitlines()[0])
    parser.add_argument("photographs", help="folder of folders of pictures, as ImageFolder reads it")
    parser.add_argument("recipes", nargs="*", help=f"which of {', '.join(RECIPES)} (default: {', '.join(COMPARED)})")
    parser.add_argument("--images", type=int, default=400_000, help="images seen by each recipe (default 400,000)")
    parser.add_argument("--size", type=int, default=32, help="width in pixels: 32 or 64 (default 32)")
    parser.add_argument("--seed", type=int, default=0, help="of the weights and of all that is drawn (default 0)")
    parser.add_argument("--folder", help="keep each training here, and go on with what is kept (default: keep none)")
    given = parser.parse_intermixed_args()  # names may follow options
    unknown = set(given.recipes) - set(RECIPES)
    if unknown:
        parser.error(f"there is no recipe {', '.join(unknown)}; there are {', '.join(RECIPES)}")
    try:
        photographs, reals = split(load(given.photographs, given.size))
    except (FaceError, ValueError) as error:
        sys.exit(f"recipes.py: {error}")
    print(f"{given.size} x {given.size} pixels, {len(photographs):,} photographs trained on, {len(reals):,} kept out\n")
    results = {"photographs": floor(reals, photographs)}
    for name in given.recipes or COMPARED:
        torch.manual_seed(given.seed)
        recipe = RECIPES[name]
        own = set_up(recipe, given.size)
        folder = Path(given.folder) / f"{name}-{given.size}-{given.seed}" if given.folder else None
        try:
            run = train(recipe, own, photographs, given.images, folder)
        except FaceError as error:
            sys.exit(f"recipes.py: {error}")
        generators = {name: own.G}
        if recipe.averages:
            generators = {name: own.G_average, f"{name}, not averaged": own.G}
        learned = f"{run.images:,} images, {run.seconds:,.0f} s, r_v {overfitting(own, reals, photographs):.2f}"
        for row, G in generators.items():
            row = f"{row}, {learned}"
            results[row] = measure(faces_of(G, own), reals, photographs)
        print(table(results), flush=True)


if __name__ == "__main__":
    main()
