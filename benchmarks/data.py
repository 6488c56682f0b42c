"""What do the pictures cost? First batch cold and warm, memory, waiting, and cost per image from 1,000 to 200,000 of them.

    python benchmarks/data.py
"""

from pathlib import Path
import torch
from torchvision.io import encode_jpeg
import torch.nn.functional as F


def write_pictures(folder, count):
    """Write `count` JPEG files of 64 x 64 random blobs, about 2 kB each, as 000000.jpg, ... into a new folder."""
    Path(folder).mkdir(parents=True)
    generator = torch.Generator().manual_seed(0)
    for number in range(count):
        blobs = F.interpolate(torch.rand(1, 3, 9, 9, generator=generator), 64, mode="bicubic")[0]
        picture = blobs.clamp(0, 1).mul(255).to(torch.uint8)
        (Path(folder) / f"{number:06d}.jpg").write_bytes(encode_jpeg(picture, 90).numpy().tobytes())
