"""For the tests: small pictures, folders of them, and a picture that is a bomb."""

import os
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image


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


def odd_pictures(folder):
    """Pictures that are unusual and sound: {file name: value of its first pixel that must come out, 0 to 1, or None}."""
    folder.mkdir(parents=True, exist_ok=True)
    (picture(1, mode="L")).save(folder / "grey.jpg")
    Image.new("RGBA", (30, 30), (255, 0, 0, 0)).save(folder / "alpha.png")
    picture(2, 20, 500).save(folder / "tall.png")
    picture(2, 500, 20).save(folder / "wide.png")
    Image.fromarray(np.full((20, 20), 32896, np.uint16)).save(folder / "deep.png")
    Image.new("CMYK", (20, 20), (0, 0, 0, 255)).save(folder / "print.jpg")
    frames = [Image.new("P", (20, 20), colour) for colour in (0, 1)]
    for frame in frames:
        frame.putpalette([0, 0, 0, 255, 255, 255])
    frames[0].save(folder / "moving.webp", save_all=True, append_images=frames[1:], lossless=True)
    picture(3).convert("P").save(folder / "palette.png")
    picture(4).save(folder / "png_called.jpg", format="PNG")
    turned = Image.new("RGB", (40, 20), "black")
    turned.paste("white", (0, 0, 20, 20))  # lies on its side: after turning, the white half is on top
    exif = Image.Exif()
    exif[0x0112] = 6
    turned.save(folder / "turned.jpg", exif=exif, quality=95)
    picture(5).save(folder / "Gesicht_\u00e4\u00f6\u00fc_\u9854_\U0001f600.jpg")
    return {"alpha.png": 1.0, "deep.png": 128 / 255, "print.jpg": 0.0, "moving.webp": 0.0, "turned.jpg": 1.0}


def broken_pictures(folder):
    """Files with a picture's name that hold none. Returns their number."""
    folder.mkdir(parents=True, exist_ok=True)
    whole = Path(fill(folder.parent.parent / "whole", 1), "a", "0000.jpg").read_bytes()
    (folder / "zero.jpg").write_bytes(b"")
    (folder / "cut.jpg").write_bytes(whole[:len(whole) // 2])
    (folder / "text.png").write_text("no picture")
    (folder / "nowhere.jpg").symlink_to(folder / "is_not_there.jpg")
    (folder / "itself.jpg").symlink_to(folder / "itself.jpg")
    (folder / "bomb.png").write_bytes(bomb(16_000))
    if hasattr(os, "mkfifo"):
        os.mkfifo(folder / "pipe.jpg")  # whoever opens it waits for ever
    return 6 + hasattr(os, "mkfifo")
