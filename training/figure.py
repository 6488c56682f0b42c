"""What a training shows: one figure that refreshes in place, and afterwards a film."""

import io

import matplotlib.pyplot as plt
import numpy as np
import torch
from IPython.display import Image, display
from PIL import Image as Pillow
from torchvision.utils import make_grid

from common import write_beside


def short(name):
    """The name of a loss as people say it: "d_loss" is "D", "critic_loss" is "critic"."""
    name = name.removesuffix("_loss")
    return name.upper() if len(name) == 1 else name


class Figure:
    """One figure under a notebook's cell, refreshed in place: pictures, the losses, and lines of text under them."""

    def __init__(self):
        self.handle = display({"text/plain": "The first picture comes in a few seconds."}, raw=True, display_id=True)

    def show(self, pictures, history, lines):
        """pictures: uint8 (N, C, S, S); history: dict of "images" and losses; lines: list of str."""
        figure = plt.Figure(figsize=(9, 3.4), dpi=90, layout="constrained")
        left, right = figure.subplots(1, 2, width_ratios=(2, 1.3))
        left.imshow(_grid(pictures[:32], 8), interpolation="nearest")
        left.axis("off")
        for name in history:
            if name != "images":
                right.plot(history["images"], history[name], label=short(name))
        right.set(xlabel="images seen", ylabel="loss")
        if len(history) > 1:
            right.legend(fontsize=8)
        figure.supxlabel("\n".join(lines), fontsize=9)
        picture = io.BytesIO()
        figure.savefig(picture, format="png")
        self.handle.update(Image(picture.getvalue()))


def _grid(pictures, columns):
    """Pictures (N, C, S, S), uint8, side by side as one array (H, W, 3)."""
    return make_grid(pictures, nrow=columns, padding=1, pad_value=255).permute(1, 2, 0).numpy()


def save_gif(snapshots, path, columns=8, zoom=2):
    """Write the snapshots of training as a GIF that plays in a loop, and return it for a notebook to show.

    Args:
        snapshots: list of uint8 tensors (N, C, S, S): the same N pictures, earlier to later. Smaller ones are enlarged to
            the size of the last. Of more than 60 snapshots, 60 are taken at equal distances.
    Returns: IPython.display.Image
    """
    frames, size = [], snapshots[-1].shape[-1]
    for index in np.linspace(0, len(snapshots) - 1, min(len(snapshots), 60)).round().astype(int):
        pictures = torch.nn.functional.interpolate(snapshots[index].float(), size, mode="nearest").to(torch.uint8)
        frame = Pillow.fromarray(_grid(pictures, columns))
        frames.append(frame.resize((frame.width * zoom, frame.height * zoom), Pillow.Resampling.NEAREST))
    times = [150] * (len(frames) - 1) + [1500]  # milliseconds; the last frame stays
    write_beside(path, lambda file: frames[0].save(file, "GIF", save_all=True, append_images=frames[1:], duration=times,
                                                   loop=0))
    return Image(filename=path, format="gif", embed=True)


def show_strip(snapshots, seen, rows=5, columns=12):
    """Show how some pictures came about: a row for each picture, a column for each look, with the images seen above it.

    snapshots: list of uint8 tensors (N, C, S, S), the same N pictures; seen: list of int, the images seen at each. Of more
    than `columns` looks, so many are taken at equal distances in the list, the first and the last among them.
    Returns: the matplotlib figure.
    """
    looks = np.unique(np.linspace(0, len(snapshots) - 1, min(columns, len(snapshots))).round().astype(int))
    rows = min(rows, len(snapshots[-1]))
    size = (0.8 * len(looks), 0.8 * rows + 0.25)
    figure, axes = plt.subplots(rows, len(looks), figsize=size, dpi=100, layout="constrained", squeeze=False)
    for column, look in enumerate(looks):
        axes[0, column].set_title(f"{seen[look]:,}", fontsize=8)
        for row in range(rows):
            axes[row, column].imshow(_grid(snapshots[look][row:row + 1], 1), interpolation="nearest")
            axes[row, column].axis("off")
    figure.get_layout_engine().set(w_pad=0.01, h_pad=0.01, wspace=0, hspace=0)
    return figure
