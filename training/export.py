"""The trained generator as files that leave the notebook."""

import copy
from pathlib import Path

import torch

from common import write_beside


def export_generator(G, z_size, folder):
    """Write the generator as a program that needs none of the notebook's classes, and as plain weights.

    generator.pt2: `torch.export.load("generator.pt2").module()(z)` gives faces in [-1, 1] for any number of z.
    generator.pt: its state_dict, for `load_state_dict` of the same class.

    Args:
        G: the generator (an averaged one is unwrapped); z_size: int; folder: where the two files go.
    Returns: list of the two paths.
    """
    G = copy.deepcopy(getattr(G, "module", G)).cpu().eval().to(memory_format=torch.contiguous_format)
    program = torch.export.export(G, (torch.randn(2, z_size),), dynamic_shapes=({0: torch.export.Dim.AUTO},))
    paths = [Path(folder) / "generator.pt2", Path(folder) / "generator.pt"]
    Path(folder).mkdir(parents=True, exist_ok=True)
    write_beside(paths[0], lambda file: torch.export.save(program, file))
    write_beside(paths[1], lambda file: torch.save(G.state_dict(), file))
    return [str(path) for path in paths]
