"""Some of the faces, and a grid of them."""

import contextlib
import os

import matplotlib.pyplot as plt
import torch
from torchvision.transforms.functional import to_tensor
from torchvision.utils import make_grid

from common import FaceError
from faces.pictures import open_picture
from faces.view import Survey, pictures_in


def some_faces(data_dir, count, size):
    """Read `count` pictures at random from the folders in data_dir; those that cannot be read are passed over.

    Returns: float tensor (count, 3, size, size) in [0, 1]; fewer, if there are fewer.
    Raises: FaceError if none can be read.
    """
    paths = [path for kind in Survey(data_dir).classes for path in pictures_in(os.path.join(data_dir, kind))]
    faces = []
    for index in torch.randperm(len(paths)).tolist():
        if len(faces) < count and os.path.isfile(paths[index]):
            with contextlib.suppress(ValueError):
                faces.append(to_tensor(open_picture(paths[index]).resize((size, size))))
    if not faces:
        raise FaceError(f"none of the {len(paths):,} pictures in {data_dir} can be read: is this a folder of pictures?")
    return torch.stack(faces)


def show_faces(images, title=None, columns=12, zoom=2):
    """Show a grid of pictures, each pixel `zoom` screen pixels wide or more.

    Args:
        images: float tensor (N, 3, S, S) in [0, 1], as the loader gives them.
        title: a line above the grid.
    Returns: the matplotlib figure.
    """
    grid = make_grid(images.detach().float().cpu(), nrow=columns, padding=2, pad_value=1)
    height, width = grid.shape[1] * zoom / 100, grid.shape[2] * zoom / 100
    figure, axis = plt.subplots(figsize=(width, height + 0.3 * bool(title)), dpi=100, layout="constrained")
    axis.imshow(grid.permute(1, 2, 0).clamp(0, 1).numpy(), interpolation="nearest")
    axis.axis("off")
    if title:
        axis.set_title(title, fontsize=10)
    return figure
