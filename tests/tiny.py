"""For the tests: folders of small pictures, and tiny networks of the notebook's in a short training run."""

import os
import struct
import sys
import zlib
from pathlib import Path

import cells
import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader

import helper

names = cells.load()
Z_SIZE = 8
EPOCH = 6  # batches


def picture(seed, width=24, height=24, mode="RGB"):
    """A picture of coarse random blobs."""
    blobs = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return Image.fromarray(blobs).resize((width, height), Image.Resampling.BICUBIC).convert(mode)


def fill(folder, count, kind="a", **how):
    """Write `count` JPEG files into folder/kind/ and return the folder as str."""
    inside = Path(folder) / kind
    inside.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        picture(number, **how).save(inside / f"{number:04d}.jpg", quality=90)
    return str(folder)


def bomb(side):
    """A PNG file of some hundred bytes that unpacks to side x side black pixels."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)  # one bit a pixel, grey
    pixels = zlib.compress(bytes((side // 8 + 1) * side), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


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


def train(folder, epochs, parts, faces=None, settings=None, **steps):
    """Train in float32 with the notebook's own loop, or with other steps than its own. Returns the run."""
    faces = faces or loader()
    fixed_z = torch.randn(8, Z_SIZE, generator=torch.Generator().manual_seed(2))
    run = helper.TrainingRun(folder, epochs, fixed_z, settings or {"batch_size": 8}, **parts)
    steps = {"discriminator_step": names.discriminator_step, "generator_step": names.generator_step, **steps}
    before, names.train.__globals__["helper"] = helper.fast_math, helper
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

    class Logged(helper.TrainingRun):
        def epochs(self):
            for epoch in super().epochs():
                os.write(file, f"{epoch}\n".encode())
                yield epoch

    helper.TrainingRun = Logged
    train(folder, epochs, parts)


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
