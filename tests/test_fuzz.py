"""Pictures that lie, made by hypothesis: whatever a folder holds, decode_once gives sound batches or one line."""

import io
import os
import shutil
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pictures
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import ImageFolder
from torchvision.datasets.folder import IMG_EXTENSIONS

from common import FaceError
from faces.decode import decode_once

EXAMPLES = 25  # folders of up to 20 pictures; for a thorough run: 1,000
FILES = 2_000  # for a thorough run: 200,000
PLAIN = transforms.Compose([transforms.Resize((32, 32)), transforms.ToTensor()])
MODES = {"JPEG": ("RGB", "L", "CMYK"), "PNG": ("RGB", "RGBA", "L", "LA", "P", "1", "I;16"), "GIF": ("P", "L"),
         "WEBP": ("RGB", "RGBA"), "BMP": ("RGB", "L", "1"), "TIFF": ("RGB", "CMYK", "L", "I;16", "F", "LAB"),
         "PPM": ("RGB", "L")}


def encoded(kind, mode, width, height, turned, frames):
    """The bytes of a picture file, sound as yet."""
    picture = pictures.picture(width, width, height)
    if mode == "I;16":
        picture = Image.fromarray(np.asarray(picture.convert("L")).astype(np.uint16) * 257)
    elif mode == "LAB":
        picture = Image.frombytes("LAB", picture.size, picture.tobytes())
    else:
        picture = picture.convert(mode)
    more = {}
    if frames > 1 and kind in ("GIF", "WEBP", "PNG", "TIFF"):
        more = {"save_all": True, "append_images": [picture] * (frames - 1)}
    if kind in ("JPEG", "PNG", "WEBP", "TIFF"):
        exif = Image.Exif()
        exif[0x0112] = turned
        more["exif"] = exif
    file = io.BytesIO()
    picture.save(file, kind, **more)
    return file.getvalue()


@st.composite
def files(draw):
    """(name, content) of a file that a folder of pictures may hold."""
    kind = draw(st.sampled_from(sorted(MODES)))
    content = bytearray(encoded(kind, draw(st.sampled_from(MODES[kind])), draw(st.integers(1, 90)), draw(st.integers(1, 90)),
                                draw(st.integers(0, 9)), draw(st.integers(1, 3))))
    damage = draw(st.sampled_from(("none", "cut", "flip", "flip", "zero", "stretch", "junk", "bomb", "insert")))
    if damage == "cut":
        del content[draw(st.integers(0, len(content))):]
    elif damage == "flip":  # the header is where the lies are
        places = st.integers(0, min(len(content), 600) - 1) | st.integers(0, len(content) - 1)
        for place in draw(st.lists(places, max_size=8)):
            content[place] ^= 1 << draw(st.integers(0, 7))
    elif damage == "zero":
        content.clear()
    elif damage == "stretch":
        content += bytes(draw(st.integers(0, 5000)))
    elif damage == "junk":
        content = bytearray(draw(st.binary(max_size=200)))
    elif damage == "bomb":
        content = bytearray(pictures.bomb(draw(st.sampled_from((64, 2_000, 16_000)))))
    elif damage == "insert":
        place = draw(st.integers(0, len(content)))
        content[place:place] = draw(st.binary(max_size=50))
    stem = draw(st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), max_size=20))
    return stem + draw(st.sampled_from(IMG_EXTENSIONS)), bytes(content)


@settings(max_examples=EXAMPLES, deadline=None, database=None,
          suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.lists(files(), min_size=1, max_size=20), st.lists(st.sampled_from(["a", "a/b", "\u00fc/\u9854/c"]), min_size=20,
                                                          max_size=20))
def test_whatever_the_files_hold_the_batches_are_sound(found, folders):
    root = Path(tempfile.mkdtemp())
    try:
        pictures.fill(root, 2, "a")
        for (name, content), folder in zip(found, folders, strict=False):
            (root / folder).mkdir(parents=True, exist_ok=True)
            if len(name.encode()) < 200:
                (root / folder / name).write_bytes(content)
        dataset = ImageFolder(root, PLAIN)
        count = len(dataset)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                loader = decode_once(DataLoader(dataset, 7, shuffle=True))
            except FaceError as error:
                assert "more than half" in str(error) and str(error).isprintable()
                return
        ours = [str(entry.message) for entry in caught if "cannot be read" in str(entry.message)]
        kept = len(loader.dataset)
        assert len(caught) == len(ours) == (kept < count)
        if ours:
            assert ours[0].startswith(f"{count - kept} of {count} pictures") and ours[0].isprintable()
        images = torch.cat([images for images, _ in loader])
        assert images.shape == (kept, 3, 32, 32) and kept * 2 >= count
        assert images.dtype == torch.float32 and images.min() >= 0 and images.max() <= 1
        assert torch.equal(images.mul(255), images.mul(255).round())
    finally:
        shutil.rmtree(root)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows reports memory in another way")
def test_bombs_take_no_more_memory_than_the_largest_picture_allowed(tmp_path):
    import resource

    pictures.fill(tmp_path, 12, "sound")
    (tmp_path / "bombs").mkdir()
    for number in range(5):
        (tmp_path / "bombs" / f"{number}.png").write_bytes(pictures.bomb(7_000))  # 49 million pixels: allowed
        (tmp_path / "bombs" / f"too_large_{number}.png").write_bytes(pictures.bomb(16_000))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.warns(UserWarning, match="5 of 22 pictures"):
        decode_once(DataLoader(ImageFolder(tmp_path, PLAIN), 4))
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * (1024 if sys.platform == "linux" else 1)
    assert grown < os.cpu_count() * 400_000_000  # 4 + 1 bytes a pixel, for each thread, and some air


@pytest.mark.skipif(not hasattr(os, "link"), reason="needs hard links")
def test_very_many_files(tmp_path):
    source = Path(pictures.fill(tmp_path / "one", 1), "a", "0000.jpg")
    (tmp_path / "many" / "a").mkdir(parents=True)
    for number in range(FILES):
        if number % 10_000 == 0:  # a file cannot have more than some ten thousand names
            source = shutil.copy(source, tmp_path / f"{number}.jpg")
        os.link(source, tmp_path / "many" / "a" / f"{number:06d}.jpg")
    for _ in range(2):
        loader = decode_once(DataLoader(ImageFolder(tmp_path / "many", PLAIN), 64, shuffle=True))
        assert len(loader.dataset) == FILES and next(iter(loader))[0].shape == (64, 3, 32, 32)
