"""For the tests: tiny networks of the notebook's in a short training run."""

import os
import sys

import torch
from torch.utils.data import DataLoader

import helper
from further import course

names = course.load()
Z_SIZE = 8
EPOCH = 6  # batches


def networks(seed=0, lr=2e-4):
    """Build D, G, G_average, d_optimizer and g_optimizer, as the notebook does, with eight channels."""
    torch.manual_seed(seed)
    D, G = names.build_network(8, 8, Z_SIZE)
    optimizers = [torch.optim.Adam(network.parameters(), lr, (0.5, 0.999)) for network in (D, G)]
    return {"D": D, "G": G, "G_average": names.averaged(G), "d_optimizer": optimizers[0], "g_optimizer": optimizers[1]}


def loader(batches=EPOCH, batch_size=8):
    """A loader of smooth random pictures, (batch_size, 3, 32, 32) in [0, 1], in another order every time."""
    images = torch.rand(batches * batch_size, 3, 4, 4, generator=torch.Generator().manual_seed(1)).mul(255)
    images = torch.nn.functional.interpolate(images, 32, mode="bilinear").to(torch.uint8)
    return DataLoader(helper.DecodedFaces(images, torch.zeros(len(images))), batch_size, shuffle=True, collate_fn=list)


class Run(helper.TrainingRun):
    """A run that keeps a checkpoint after every epoch, however short."""

    KEEP_AFTER = 0.0


def new_run(folder, epochs, parts, settings=None, kind=Run):
    """A run of parts (D, G, G_average and their optimizers) with eight fixed z."""
    fixed_z = torch.randn(8, Z_SIZE, generator=torch.Generator().manual_seed(2))
    return kind(folder, epochs, helper.FixedFaces(parts["G_average"], fixed_z), settings or {"batch_size": 8}, **parts)


def train(folder, epochs, parts, faces=None, settings=None, kind=Run, **steps):
    """Train in float32 with the notebook's own loop, or with other steps than its own. Returns the run."""
    faces = faces or loader()
    run = new_run(folder, epochs, parts, settings, kind)
    steps = {"discriminator_step": names.discriminator_step, "generator_step": names.generator_step, **steps}
    before = helper.fast_math
    helper.fast_math = lambda device: torch.autocast(device.type, enabled=False)
    try:
        names.train(parts["D"], parts["G"], parts["G_average"], faces, parts["d_optimizer"], parts["g_optimizer"],
                    run=run, **steps)
    finally:
        helper.fast_math = before
    return run


def train_logged(folder, epochs, log):
    """In a process of its own: train, and note every epoch as it begins; what a killed process noted, it had reached."""
    torch.set_num_threads(1)
    sys.stdout = open(os.devnull, "w")
    file = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    parts = networks()

    class Logged(Run):
        def epochs(self):
            for epoch in super().epochs():
                os.write(file, f"{epoch}\n".encode())
                yield epoch

    train(folder, epochs, parts, kind=Logged)


def weights(parts):
    """All tensors of networks and optimizers, by name."""
    found = {}

    def collect(name, value):
        if isinstance(value, torch.Tensor):
            found[name] = value.detach().clone()
        elif isinstance(value, dict):
            for key, inner in value.items():
                collect(f"{name}.{key}", inner)

    for name, part in parts.items():
        collect(name, part.state_dict())
    return found


def same(a, b):
    """Are two results of weights() the same, bit for bit?"""
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)
