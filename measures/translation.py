"""What a translation of pictures into pictures keeps: how far two sets are apart, and traits that may go along.

All take uint8 (N, 3, S, S); picture k of one belongs to picture k of the other.
"""

import torch


def error(pictures, others):
    """Mean absolute difference in levels of 255; both uint8 (N, 3, S, S)."""
    return (pictures.float() - others.float()).abs().mean().item()


def brightness(pictures):
    """Mean of all values of a picture: uint8 (N, 3, S, S) -> (N,)."""
    return pictures.float().mean((1, 2, 3))


def centre(pictures):
    """Where a picture's brightness lies from left to right, 0 to S - 1: uint8 (N, 3, S, S) -> (N,)."""
    columns = pictures.float().mean((1, 2)) + 1e-6  # a black picture's is in the middle
    return columns @ torch.arange(columns.shape[1]).float() / columns.sum(1)


def correlations(trait, pictures, others):
    """That of a trait over pairs of pictures, and over pairs that do not belong together, which is 0 but for chance."""
    x, y = trait(pictures), trait(others)
    return tuple(torch.corrcoef(torch.stack([x, some]))[0, 1].item() for some in (y, y.roll(1)))
