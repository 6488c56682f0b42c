"""Two domains without pairs: where they come from, and what a translation between them is worth. For discogan.py.

As it is, one domain is faces, and the other is faces too, whose red and blue are exchanged: the right answer is known.
"""

from typing import NamedTuple

import torch

import helper
from further import beside
from measures.detect import faces_found
from measures.needs import Missing
from measures.translation import brightness, centre, correlations, error


class Domain(NamedTuple):
    """Pictures, uint8 (N, 3, S, S): those to train on, and those kept out. answer: their true translation, if known."""

    photographs: torch.Tensor
    reals: torch.Tensor
    answer: object = None


def exchanged(pictures):
    """Exchange red and blue; pictures (N, 3, S, S)."""
    return pictures.flip(1)


def domains(given):
    """The Domains A and B of what the command line names; without --other, every other face, and the rest recoloured.

    Raises: FaceError if a folder is missing, holds no pictures, or too few.
    """
    if given.other is not None:
        B = beside.load(given.other)  # first: where no folder is named for A, faces are drawn, which takes a minute
        return [Domain(*beside.split(some)) for some in (beside.load(given.photographs), B)]
    data = beside.split(beside.load(given.photographs), 2 * beside.HELD_OUT)
    A, B = ([part[start::2] for part in data] for start in range(2))
    return Domain(*A, exchanged), Domain(*map(exchanged, B), exchanged)


# --- What a translation is worth --------------------------------------------------------------------------------------


def batches(G, pictures):
    """Pictures uint8 (N, 3, S, S) as a generator takes them, some at a time."""
    return (some.to(next(G.parameters()).device) / 127.5 - 1 for some in pictures.split(250))


def translated(G, pictures):
    """What a generator makes of pictures, both uint8 (N, 3, S, S)."""
    G.eval()
    with torch.no_grad():
        made = torch.cat([G(some) for some in batches(G, pictures)])
    return torch.from_numpy(helper.to_pixels(made)).permute(0, 3, 1, 2).contiguous()


def found(pictures):
    """Share of pictures in which a face is detected, as text; "-" where the detector is not installed."""
    try:
        return f"{faces_found(pictures):.3f}"
    except Missing:
        return "-"


# Of each row: levels of 255; levels of 255; correlations, those of shuffled pairs in brackets
HEADINGS = ("round trip", "to the answer", "brightness", "centre", "sliced Wasserstein x 1000", "faces found")


def numbers(start, end, made, back=None):
    """What the table says of `made`, for each of Domain start's held-out pictures one for Domain end: list of str.

    back: the same pictures led back, or None.
    """
    x, count = start.reals[: len(made)], min(len(made), len(end.reals))
    both = (correlations(trait, x, made) for trait in (brightness, centre))
    seeded = torch.Generator().manual_seed(0)
    apart = helper.sliced_wasserstein(made[:count] / 255, end.reals[:count] / 255, generator=seeded)["mean"]
    return ["-" if back is None else f"{error(x, back):.1f}",
            f"{error(made, start.answer(x)):.1f}" if start.answer else "-",
            *(f"{paired:.2f} ({shuffled:.2f})" for paired, shuffled in both), f"{apart:.1f}", found(made)]


def rounds(A, B, parts):
    """Yield for A, then for B: the way, both Domains, its held-out pictures translated, and these led back."""
    for way, start, end, there, back in (("A to B", A, B, "G_AB", "G_BA"), ("B to A", B, A, "G_BA", "G_AB")):
        made = translated(parts[there], start.reals)
        yield way, start, end, made, translated(parts[back], made)
