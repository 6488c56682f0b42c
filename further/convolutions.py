"""Convolution arithmetic (Dumoulin and Visin, 2016): sixteen cases, their sizes, and what each output pixel sees.

A guide to convolution arithmetic for deep learning: https://arxiv.org/abs/1603.07285

A convolution's output size follows from its input i, kernel k, stride s and padding p, and a transposed convolution is a
plain one too, over an input that was stretched with zeros. arithmetic.py draws the cases; here they are, frame by frame.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F

import helper
from further import beside


class Case(NamedTuple):
    """A square layer. relation: the number that the guide gives to its formula of the output size."""

    name: str
    relation: int
    i: int  # input size
    k: int  # kernel
    s: int  # stride
    p: int  # padding
    transposed: bool = False
    a: int = 0  # rows that a transposed convolution adds below, of those that its convolution left out: output_padding


CONVOLUTIONS = [
    Case("no padding", 1, 4, 3, 1, 0),
    Case("some padding", 2, 5, 4, 1, 2),
    Case("half padding", 3, 5, 3, 1, 1),
    Case("full padding", 4, 5, 3, 1, 2),
    Case("stride, no padding", 5, 5, 3, 2, 0),
    Case("stride and padding", 6, 5, 3, 2, 1),
    Case("stride and padding, odd", 6, 6, 3, 2, 1),
    Case("halving", 6, 6, 4, 2, 1),  # as the notebook's D does, and its transpose as G does
]


def output_size(case):
    """Relation 6, and 14 for a transposed convolution; relations 1 to 5 and 8 to 13 are special cases of them."""
    if case.transposed:
        return case.s * (case.i - 1) + case.a + case.k - 2 * case.p
    return (case.i + 2 * case.p - case.k) // case.s + 1


def transpose_of(case, relation):
    """The transposed convolution that leads from the output size of a convolution back to its input size."""
    left_out = (case.i + 2 * case.p - case.k) % case.s
    name = "doubling" if case.name == "halving" else f"{case.name}, transposed"
    return Case(name, relation, output_size(case), case.k, case.s, case.p, True, left_out)


CASES = CONVOLUTIONS + [transpose_of(case, relation)
                        for case, relation in zip(CONVOLUTIONS, (8, 9, 10, 11, 12, 13, 14, 13), strict=True)]


def layer(x, case):
    """What torch makes of x (1, 1, i, i) with a kernel of ones: (1, 1, o, o)."""
    ones = torch.ones(1, 1, case.k, case.k)
    if case.transposed:
        return F.conv_transpose2d(x, ones, stride=case.s, padding=case.p, output_padding=case.a)
    return F.conv2d(x, ones, stride=case.s, padding=case.p)


def stretched(x, case):
    """x (1, 1, i, i) with all the zeros that the kernel meets: around it, and between its pixels where transposed."""
    if not case.transposed:
        return F.pad(x, [case.p] * 4)
    between = x.new_zeros(1, 1, *[case.s * (case.i - 1) + 1] * 2)
    between[:, :, ::case.s, ::case.s] = x
    around = case.k - 1 - case.p
    return F.pad(between, [around, around + case.a] * 2)


def windows(case):
    """Which places of `stretched` each output pixel sees: bool (o * o, H, H), found as gradients of a real convolution."""
    grid = stretched(torch.ones(1, 1, case.i, case.i), case).requires_grad_()
    out = F.conv2d(grid, torch.ones(1, 1, case.k, case.k), stride=1 if case.transposed else case.s)
    return torch.stack([torch.autograd.grad(pixel, grid, retain_graph=True)[0][0, 0] > 0 for pixel in out.flatten()])


BLUE, GREY, ORANGE, LIGHT, GREEN = torch.tensor(
    [(90, 140, 210), (225, 225, 225), (230, 120, 20), (250, 210, 160), (80, 170, 120)], dtype=torch.uint8)


def frames(case, width=10, cell=8):
    """One frame for each output pixel, left what the kernel meets and right what came out: list of uint8 (2, 3, S, S).

    Blue: inputs; grey: zeros; orange: what the output pixel sees, darker at inputs; green: done. S = width * cell.
    """
    inputs, size = stretched(torch.ones(1, 1, case.i, case.i), case)[0, 0] > 0, output_size(case)
    shown = []
    for number, window in enumerate(windows(case)):
        pair = torch.full((2, width, width, 3), 255, dtype=torch.uint8)
        met = torch.where(inputs[..., None], BLUE, GREY)
        met[window], met[window & inputs] = LIGHT, ORANGE
        made = GREY.repeat(size**2, 1)
        made[:number], made[number] = GREEN, ORANGE
        pair[0, :len(met), :len(met)] = met
        pair[1, :size, :size] = made.view(size, size, 3)
        pair = pair.permute(0, 3, 1, 2).repeat_interleave(cell, 2).repeat_interleave(cell, 3)
        pair[:, :, ::cell], pair[:, :, :, ::cell] = 255, 255  # a line between cells
        shown.append(pair)
    return shown


def animate(folder):
    """Write a GIF of each case there. Returns Markdown: the numbers of each, and its output size by formula and by torch."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for case in CASES:
        helper.save_gif(frames(case), folder / f"{case.name.replace(',', '').replace(' ', '_')}.gif")
        found = layer(torch.zeros(1, 1, case.i, case.i), case).shape[-1]
        rows.append([str(part) for part in (case.name, case.i, case.k, case.s, case.p, case.a, case.relation,
                                            output_size(case), found)])
    return beside.markdown(["case", "i", "k", "s", "p", "a", "relation", "its o", "torch's o"], rows)
