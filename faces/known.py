"""What is known about the drawn faces, since this project drew them."""

from pathlib import Path

import numpy as np
import torch
from torchvision.datasets import ImageFolder

from faces.draw import is_drawn
from faces.traits import traits

KNOWN = ("glasses", "hat", "beard")


def drawn_traits(loader):
    """Which of the loader's faces wear glasses, a hat, a beard: {trait: bool tensor (N,)}, in the order of the dataset.

    loader: over an ImageFolder of the drawn faces, decoded once or not. Returns {} if one of the pictures was not drawn
    by this project, for nobody knows about those.
    """
    pictures = getattr(getattr(loader.batch_sampler, "sampler", None), "data_source", None)
    if not isinstance(pictures, ImageFolder):
        return {}
    paths = [Path(path) for path, _ in pictures.samples]
    if not all(is_drawn(path) for path in paths):
        return {}
    faces = [traits(np.random.default_rng((0, int(path.stem)))) for path in paths]  # the series that seed 0 starts
    return {name: torch.tensor([bool(getattr(face, name) > 0) for face in faces]) for name in KNOWN}
