"""faces.prepare: every layout it knows, hostile archives, odd and broken pictures, kills. All pictures are made here."""

import io
import os
import random
import shutil
import signal
import stat
import struct
import subprocess
import sys
import threading
import time
import warnings
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image
from torchvision.datasets import ImageFolder

from faces import draw, prepare, sources
from faces import pictures as reading

ROOT = Path(prepare.__file__).resolve().parent.parent

EXAMPLES, KILLS = 300, 4  # inputs of each fuzz test and kills in a plain run; more were tried when this was written
NOISE = np.random.default_rng(0)


def picture(size=(40, 50), mode="RGB", noise=NOISE):
    """A picture of coarse noise: compresses like a photograph, and no face is found in it."""
    coarse = Image.fromarray(noise.integers(0, 256, (8, 8, 3), np.uint8))
    return coarse.resize(size, Image.Resampling.BICUBIC).convert(mode)


def encoded(image=None, kind="JPEG", **options):
    buffer = io.BytesIO()
    (image or picture()).save(buffer, kind, **options)
    return buffer.getvalue()


JPEG = encoded()


def make_zip(path, members):
    """members: list of (name or ZipInfo, bytes)."""
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        warnings.simplefilter("ignore")  # of two members of one name
        for name, data in members:
            archive.writestr(name, data)
    return path


def make_folder(path, files):
    """files: dict of relative name and bytes."""
    for name, data in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return path


def contents(home):
    return {path.name: path.read_bytes() for path in (home / "celeba").glob("*")}


@pytest.fixture(autouse=True)
def no_processes(monkeypatch):
    """prepare(), called in a test, works in a thread, which starts sooner; run() below starts the real thing."""
    monkeypatch.setattr(prepare, "ProcessPoolExecutor", lambda *_: ThreadPoolExecutor(1))


@pytest.fixture
def home(tmp_path):
    """The data folder of a project of its own."""
    project = tmp_path / "project"
    shutil.copytree(ROOT / "faces", project / "faces", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "common.py", project)
    (project / "processed_celeba_small").mkdir()
    return project / "processed_celeba_small"


def start(home, source, **options):
    return subprocess.Popen([sys.executable, "-m", "faces.prepare", str(source)], cwd=home.parent, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)  # fmt: skip


def run(home, source, **options):
    """The program as a process: (exit code, stdout, stderr)."""
    process = start(home, source, **options)
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


# Reading a picture.


def test_depths_and_colour_modes_become_rgb():
    ramp = np.arange(256, dtype=np.uint16).reshape(16, 16) * 257
    grey = Image.fromarray((ramp // 257).astype(np.uint8))
    files = {
        "grey": encoded(grey, "PNG"),
        "16 bits": encoded(Image.fromarray(ramp), "PNG"),
        "16 bits TIFF": encoded(Image.fromarray(ramp), "TIFF"),
        "big-endian 16 bits": encoded(Image.frombytes("I;16B", (16, 16), ramp.astype(">u2").tobytes()), "TIFF"),
        "palette": encoded(grey.convert("P"), "PNG"),
        "alpha": encoded(grey.convert("RGBA"), "PNG"),
        "CMYK": encoded(grey.convert("RGB").convert("CMYK"), "TIFF"),
    }
    for kind, data in files.items():
        image = reading.open_picture(io.BytesIO(data))
        assert image.mode == "RGB", kind
        assert np.array_equal(np.asarray(image)[..., 1], np.asarray(grey)), kind


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA"])
def test_alpha_is_laid_over_white(mode):
    clear = Image.new("RGBA", (8, 8), (10, 20, 30, 0)).convert(mode.replace("PA", "RGBA"))
    clear = clear.quantize() if mode == "PA" else clear
    assert reading.open_picture(io.BytesIO(encoded(clear, "PNG"))).getpixel((3, 3)) == (255, 255, 255)


def test_exif_rotation_is_applied():
    image = Image.new("RGB", (40, 20), "black")
    image.paste((255, 0, 0), (0, 0, 20, 20))
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: show it a quarter to the right
    turned = reading.open_picture(io.BytesIO(encoded(image, exif=exif)))
    assert turned.size == (20, 40)
    assert turned.getpixel((10, 5))[0] > 200 and turned.getpixel((10, 35))[0] < 50


def test_damaged_exif_does_not_lose_the_picture():
    assert reading.open_picture(io.BytesIO(encoded(exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff"))).size == (40, 50)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_of_an_animation_the_first_frame_is_taken(kind):
    red, blue = Image.new("RGB", (16, 16), (250, 0, 0)), Image.new("RGB", (16, 16), (0, 0, 250))
    data = encoded(red, kind, save_all=True, append_images=[blue])
    assert reading.open_picture(io.BytesIO(data)).getpixel((8, 8))[0] > 200


def png_header(width, height):
    """A PNG that says it is width x height and holds nothing."""
    import zlib

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(99))) + chunk(b"IEND", b"")


BROKEN = {
    "nothing": b"",
    "text": b"this is no picture",
    "cut off": encoded(picture((200, 200)))[:2000],
    "bomb": png_header(60_000, 60_000),
    "just too large": png_header(10_000, 5_001),
    "empty body": png_header(100, 100),
    "EPS": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
    "float": encoded(Image.fromarray(np.ones((8, 8), np.float32)), "TIFF"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_picture_is_a_value_error_of_one_line(kind):
    with pytest.raises(ValueError, match="not a readable picture") as caught:
        reading.open_picture(io.BytesIO(BROKEN[kind]))
    assert "\n" not in str(caught.value)


SEEDS = [
    encoded(),
    encoded(picture(mode="CMYK")),
    encoded(kind="PNG"),
    encoded(picture(mode="P"), "PNG"),
    encoded(kind="GIF", save_all=True, append_images=[picture()]),
    encoded(kind="BMP"),
    encoded(kind="TIFF", compression="tiff_lzw"),
    encoded(kind="WEBP"),
    encoded(kind="PPM"),
    encoded(Image.fromarray(NOISE.integers(0, 65536, (9, 9), np.uint16)), "PNG"),
]


@st.composite
def damaged(draw):
    """A small picture of some format with bytes changed, cut out or put in; or bytes of any kind."""
    data = bytearray(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(0, 6))):
        place = draw(st.integers(0, len(data)) | st.integers(0, min(64, len(data))))
        how = draw(st.sampled_from(["change", "cut", "insert", "end"]))
        if how == "end":
            del data[place:]
        else:
            data[place : place + (how != "insert") * draw(st.integers(1, 9))] = (
                b"" if how == "cut" else draw(st.binary(min_size=1, max_size=9))
            )
    return bytes(data)


@settings(max_examples=EXAMPLES, deadline=None, database=None,
          suppress_health_check=list(HealthCheck))  # fmt: skip
@given(damaged() | st.binary(max_size=200))
@example(b"")
def test_any_bytes_give_a_picture_or_a_value_error(data):
    try:
        image = reading.open_picture(io.BytesIO(data))
    except ValueError as error:
        assert "\n" not in str(error)
        return
    assert image.mode == "RGB" and image.width * image.height <= reading.MAX_PIXELS
    assert prepare.cut_face(image)[0].size == (64, 64)


# Cropping.


def test_aligned_celeba_gets_its_centre_crop():
    image = Image.new("RGB", (178, 218), "black")
    image.paste((255, 255, 255), (35, 55, 35 + 108, 55 + 108))
    face, how = prepare.cut_face(image)
    assert np.asarray(face)[2:-2, 2:-2].min() > 250
    assert "CelebA" in how


def test_finished_pictures_are_left_as_they_are():
    image = picture((64, 64))
    assert prepare.cut_face(image) == (image, "taken as they were")


@pytest.mark.parametrize("size", [(20, 500), (500, 20), (1, 1), (3000, 2), (5, 5), (65, 64)])
def test_any_shape_gives_a_square(size):
    assert prepare.cut_face(picture(size))[0].size == (64, 64)


def test_the_square_around_a_face_stays_in_the_picture(monkeypatch):
    image = picture((100, 100))
    for face in [(0, 0, 50), (100, 100, 50), (50, 50, 500), (50, 50, 20)]:
        monkeypatch.setattr(prepare, "_largest_face", lambda image, face=face: face)
        assert prepare.cut_face(image)[0].size == (64, 64)


def test_without_dlib_the_centre_is_cut(monkeypatch):
    monkeypatch.setitem(sys.modules, "dlib", None)
    prepare._detector.cache_clear()
    face, how = prepare.cut_face(picture((300, 200)))
    prepare._detector.cache_clear()
    assert face.size == (64, 64) and "centre" in how


# Layouts.


def assert_image_folder(home, count):
    data = ImageFolder(home)
    assert data.classes == ["celeba"] and len(data) == count
    assert all(image.size == (64, 64) and image.mode == "RGB" for image, _ in data)


def celeba_files(count):
    return {f"img_align_celeba/{number:06}.jpg": encoded(picture((178, 218))) for number in range(1, count + 1)}


def test_celeba_zip_by_the_command(home, tmp_path):
    draw.draw_faces(home / "drawn", 2)
    source = make_zip(tmp_path / "img_align_celeba.zip", [("img_align_celeba/", b""), *celeba_files(40).items()])
    code, out, err = run(home, source)
    assert (code, err) == (0, "")
    assert "40 cropped as aligned CelebA" in out
    assert "Removed the drawn faces" in out
    assert_image_folder(home, 40)
    assert sorted(path.name for path in home.iterdir()) == ["celeba"]
    before = {path: path.stat().st_mtime_ns for path in (home / "celeba").iterdir()}
    code, out, err = run(home, source)
    assert (code, err) == (0, "")
    assert "40 there from an earlier run" in out
    assert before == {path: path.stat().st_mtime_ns for path in (home / "celeba").iterdir()}


def test_what_somebody_put_beside_the_drawn_faces_stays(home, tmp_path, capsys):
    draw.draw_faces(home / "drawn", 2)
    make_folder(home, {"drawn/face.jpg": encoded(), "drawn/00001.jpg": encoded(), "drawn/notes.txt": b"mine"})
    prepare.prepare(make_folder(tmp_path / "in", {"a.jpg": encoded()}), home)
    assert sorted(path.name for path in (home / "drawn").iterdir()) == ["00001.jpg", "face.jpg", "notes.txt"]
    said = capsys.readouterr().out
    assert f"2 pictures in {home / 'drawn'} were not drawn by this project: they stay" in said
    assert "Removed the drawn faces" in said


def test_celeba_folder_with_its_annotations(home, tmp_path):
    files = {**celeba_files(3), "list_attr_celeba.txt": b"3\n", ".DS_Store": b"", "._000001.jpg": b"junk"}
    assert prepare.prepare(make_folder(tmp_path / "celeba_root", files), home) == 3
    assert_image_folder(home, 3)


def test_udacitys_zip(home, tmp_path, capsys):
    images = [picture((64, 64)) for _ in range(3)]
    members = [(f"processed_celeba_small/celeba/{i}.jpg", encoded(image, quality=95)) for i, image in enumerate(images)]
    members += [(f"__MACOSX/processed_celeba_small/celeba/._{i}.jpg", b"\0\5\x16\7") for i in range(3)]
    members += [("processed_celeba_small/.DS_Store", b"junk"), ("processed_celeba_small/celeba/New Folder/", b"")]
    assert prepare.prepare(make_zip(tmp_path / "processed-celeba-small.zip", members), home) == 3
    assert "3 taken as they were" in capsys.readouterr().out
    assert_image_folder(home, 3)
    first = np.asarray(Image.open(min((home / "celeba").iterdir())), int)
    assert np.abs(first - np.asarray(images[0], int)).mean() < 8


def write_parquet(path, cells, **columns):
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    kind = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pyarrow.table({**columns, "image": pyarrow.array(cells, kind)}), path, row_group_size=7)
    return path


def test_parquet_file_and_folder(home, tmp_path, capsys):
    cells = [{"bytes": encoded(picture((178, 218))), "path": "the_same.jpg"} for _ in range(20)]
    write_parquet(tmp_path / "hub/data/train-00000-of-00002.parquet", cells, celeb_id=list(range(20)))
    write_parquet(tmp_path / "hub/data/train-00001-of-00002.parquet", [*cells[:3], None, {"bytes": None, "path": "x"}])
    assert prepare.prepare(tmp_path / "hub", home) == 23
    assert "the row holds no picture" in capsys.readouterr().err
    assert_image_folder(home, 23)
    assert prepare.prepare(tmp_path / "hub/data/train-00000-of-00002.parquet", home) == 20


def test_damaged_and_foreign_parquet(home, tmp_path):
    cells = [{"bytes": encoded(picture((178, 218))), "path": ""} for _ in range(40)]
    whole = write_parquet(tmp_path / "whole.parquet", cells).read_bytes()
    for name, data in {"cut": whole[:5000], "text": b"PAR1 not really", "empty": b""}.items():
        (tmp_path / f"{name}.parquet").write_bytes(data)
        with pytest.raises(ValueError, match="not a whole Parquet file"):
            prepare.prepare(tmp_path / f"{name}.parquet", home)
    (tmp_path / "hole.parquet").write_bytes(whole[:2000] + b"\xff" * 30000 + whole[32000:])
    with pytest.raises(ValueError, match="more than half|damaged"):
        prepare.prepare(tmp_path / "hole.parquet", home)
    import pyarrow.parquet

    pyarrow.parquet.write_table(pyarrow.table({"text": ["a"]}), tmp_path / "text.parquet")
    with pytest.raises(ValueError, match="no column of pictures"):
        prepare.prepare(tmp_path / "text.parquet", home)


def test_parquet_without_pyarrow(home, tmp_path, monkeypatch):
    source = write_parquet(tmp_path / "a.parquet", [{"bytes": encoded(), "path": ""}])
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(ValueError, match="pip install pyarrow"):
        prepare.prepare(source, home)


def test_names_do_not_collide_and_are_stable(home, tmp_path):
    names = ["a/face.jpg", "b/face.jpg", "face.jpg", "gesicht äöü 顔.jpg", "顔.png", "FACE.JPG", "x" * 200 + ".jpg"]
    files = {name: encoded(kind="PNG" if name.endswith("png") else "JPEG") for name in names}
    source = make_folder(tmp_path / "portraits", files)
    if sys.platform == "linux":
        (tmp_path / "portraits" / os.fsdecode(b"\xff\xfe.jpg")).write_bytes(encoded())
        names = [*names, "not UTF-8"]
    assert prepare.prepare(source, home) == len(names)
    assert_image_folder(home, len(names))
    before = contents(home)
    assert all(name.isascii() for name in before)
    assert prepare.prepare(source, home) == len(names)
    assert contents(home) == before
    shutil.rmtree(home / "celeba")
    assert prepare.prepare(source, home) == len(names)
    assert contents(home) == before
    assert prepare.prepare(make_zip(tmp_path / "other.zip", list(files.items())), home) == len(files)
    assert_image_folder(home, len(names) + len(files))


def test_another_folder_of_the_same_name_adds_its_pictures(home, tmp_path):
    for parent in ("first", "second"):
        prepare.prepare(make_folder(tmp_path / parent / "photos", {"IMG_0001.jpg": encoded()}), home)
    assert_image_folder(home, 2)


def test_pictures_of_every_kind_in_one_folder(home, tmp_path, capsys):
    good = {
        "grey.jpg": encoded(picture(mode="L")),
        "cmyk.jpg": encoded(picture(mode="CMYK")),
        "long.jpg": encoded(picture((20, 500))),
        "alpha.png": encoded(picture(mode="RGBA"), "PNG"),
        "16.png": encoded(Image.fromarray(np.ones((70, 70), np.uint16)), "PNG"),
        "really a png.jpg": encoded(kind="PNG"),
        "moving.gif": encoded(kind="GIF"),
        "UPPER.JPEG": encoded(),
        "photo.webp": encoded(kind="WEBP"),
        **{f"good/{i}.jpg": encoded() for i in range(5)},
    }
    broken = {f"broken {name}.jpg": data for name, data in BROKEN.items()}
    others = {"notes.txt": b"no picture, and not counted", "phone.heic": b"\0\0\0\x18ftypheic"}
    assert prepare.prepare(make_folder(tmp_path / "portraits", {**good, **broken, **others}), home) == 14
    err = capsys.readouterr().err
    assert "skipped 9 of 23 pictures" in err
    assert all(f"{name}: " in err for name in [*broken, "phone.heic"])
    assert err.count("Warning") == 1
    assert_image_folder(home, 14)


def test_comments_and_places_do_not_go_along(home, tmp_path):
    exif = Image.Exif()
    exif[0x010E] = "secret place"
    prepare.prepare(make_folder(tmp_path / "in", {"a.jpg": encoded(exif=exif, comment=b"secret comment")}), home)
    assert not any(b"secret" in data for data in contents(home).values())


# What is refused.


def test_more_than_half_broken_is_an_error_and_leaves_nothing(home, tmp_path):
    files = {f"{i:02}\x1b[2J.jpg" if i == 1 else f"{i:02}.jpg": b"broken" for i in range(13)}
    source = make_folder(tmp_path / "in", {**files, **{f"good{i}.jpg": encoded() for i in range(12)}})
    code, out, err = run(home, source)
    assert code == 1
    assert "skipped 13 of 25" in err and "and 3 more" in err and "more than half" in err
    assert "09.jpg" in err and "10.jpg" not in err
    assert "\x1b" not in err and "Traceback" not in err
    assert sorted(path.name for path in home.iterdir()) == []


def test_sources_that_cannot_be_used(home, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "cut.zip").write_bytes(make_zip(tmp_path / "a.zip", [("a.jpg", encoded())]).read_bytes()[:-30])
    (tmp_path / "text.zip").write_bytes(b"text")
    (tmp_path / "face.tar").write_bytes(bytes(10240))
    (home / "celeba").mkdir()
    encrypted = bytearray((tmp_path / "a.zip").read_bytes())
    for signature, offset in ((b"PK\1\2", 8), (b"PK\3\4", 6)):
        encrypted[encrypted.index(signature) + offset] |= 1
    (tmp_path / "encrypted.zip").write_bytes(encrypted)
    nested = make_zip(tmp_path / "nested.zip", [("Img/img_align_celeba.zip", (tmp_path / "a.zip").read_bytes())])
    for source, words in {
        tmp_path / "nowhere": "does not exist",
        tmp_path / "empty": "holds no pictures",
        tmp_path / "cut.zip": "not a whole zip",
        tmp_path / "text.zip": "not a whole zip",
        tmp_path / "face.tar": "not a whole zip",
        tmp_path / "encrypted.zip": "encrypted",
        nested: "take that out",
        home: "where the prepared pictures go",
        home / "celeba": "where the prepared pictures go",
    }.items():
        with pytest.raises(ValueError, match=words) as caught:
            prepare.prepare(source, home)
        assert "\n" not in str(caught.value)
    (home / "celeba").rmdir()
    code, out, err = run(home, tmp_path / "text.zip")
    assert code == 1 and err.startswith("faces.prepare: ") and err.count("\n") == 1


def link(name):
    info = zipfile.ZipInfo(name)
    info.create_system = 3
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


def packed(name, method):
    info = zipfile.ZipInfo(name)
    info.compress_type = method
    return info


def test_hostile_members_are_skipped_and_nothing_leaves_the_folder(home, tmp_path, capsys):
    hostile = [
        ("../../outside.jpg", encoded()), ("/etc/absolute.jpg", encoded()), ("..\\..\\windows.jpg", encoded()),
        ("C:\\drive.jpg", encoded()), (link("link.jpg"), b"/etc/passwd"), ("bomb.bmp", bytes(20_000_000)),
        (packed("lzma.jpg", zipfile.ZIP_LZMA), encoded()), (packed("bzip2.jpg", zipfile.ZIP_BZIP2), encoded()),
        ("large.bmp", random.Random(0).randbytes(50_000) + bytes(5_000_000)), ("wrong sum.jpg", encoded()),
        ("a/../b.jpg", encoded()),
    ]  # fmt: skip
    good = [(f"{i}.jpg", encoded()) for i in range(20)] + [("twice.jpg", encoded()), ("twice.jpg", encoded())]
    data = bytearray(make_zip(tmp_path / "hostile.zip", hostile + good).read_bytes())
    at = data.rindex(b"wrong sum.jpg") - 46 + 16
    data[at] ^= 0xFF
    (tmp_path / "hostile.zip").write_bytes(data)
    everything = set(tmp_path.rglob("*"))
    assert prepare.prepare(tmp_path / "hostile.zip", home) == 22
    err = capsys.readouterr().err
    assert "skipped 11 of 33" in err
    for reason in ("leads out", "a link or a device", "taken for a bomb", "other than deflate"):
        assert reason in err
    assert all(path.is_relative_to(home / "celeba") for path in set(tmp_path.rglob("*")) - everything)
    assert_image_folder(home, 22)


def test_members_of_which_the_header_lies(home, tmp_path, capsys):
    """The table of contents says 100 bytes, and 10,000,000 unpack: never more than what it says is read."""
    members = [("liar.jpg", encoded() + bytes(10_000_000))] + [(f"{i}.jpg", encoded()) for i in range(4)]
    data = bytearray(make_zip(tmp_path / "liar.zip", members).read_bytes())
    at = data.rindex(b"liar.jpg") - 46 + 24
    data[at : at + 4] = struct.pack("<I", 100)
    (tmp_path / "liar.zip").write_bytes(data)
    assert prepare.prepare(tmp_path / "liar.zip", home) == 4
    assert "liar.jpg" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("limit", "value", "words"),
    [
        ("MAX_PICTURES", 29, "the limit is 29"),
        ("MAX_TOTAL", 10_000, "zip bomb"),
        ("MAX_DIRECTORY", 1000, "table of contents"),
    ],
)
def test_limits_of_a_zip(home, tmp_path, monkeypatch, limit, value, words):
    source = make_zip(tmp_path / "in.zip", [(f"{i}.jpg", encoded()) for i in range(30)])
    monkeypatch.setattr(sources, limit, value)
    with pytest.raises(ValueError, match=words):
        prepare.prepare(source, home)


@pytest.mark.parametrize("size", [70_000_000, 100_000_000])
def test_a_member_may_be_as_large_as_the_documented_limit(home, tmp_path, size):
    large = JPEG + bytes(size - len(JPEG))  # a picture, and what a decoder does not read
    with zipfile.ZipFile(tmp_path / "large.zip", "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("large.jpg", large)
        archive.writestr("small.jpg", encoded())
    del large
    assert prepare.prepare(tmp_path / "large.zip", home) == 2


def test_many_members(home, tmp_path):
    """2,000 empty members are an error in seconds, without a file of any of them."""
    source = make_zip(tmp_path / "many.zip", [(f"{i}.jpg", b"") for i in range(2_000)])
    with pytest.raises(ValueError, match="more than half"):
        prepare.prepare(source, home)
    assert not (home / "celeba").exists()


@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=8), st.integers(0, 10**6))
@settings(max_examples=EXAMPLES, deadline=None, database=None)
def test_a_damaged_zip_gives_bytes_or_a_value_error(tmp_path_factory, changes, end):
    data = bytearray(ZIP)
    for place, value in changes:
        data[place % len(data)] = value
    path = tmp_path_factory.getbasetemp() / "damaged.zip"
    path.write_bytes(data if end % 3 else data[: end % len(data)])
    try:
        for *_, load in sources._open_zip(path)[1]:
            try:
                assert isinstance(load(), bytes)
            except ValueError as error:
                assert "\n" not in str(error)
    except ValueError as error:
        assert "\n" not in str(error)


with io.BytesIO() as _buffer:
    make_zip(_buffer, [(f"celeba/{i}.jpg", encoded()[:300]) for i in range(3)])
    ZIP = _buffer.getvalue()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs links and pipes")
def test_links_and_pipes_in_a_folder(home, tmp_path, capsys):
    source = make_folder(tmp_path / "in", {f"{i}.jpg": encoded() for i in range(6)})
    (tmp_path / "private.jpg").write_bytes(encoded())
    (source / "out.jpg").symlink_to(tmp_path / "private.jpg")
    (source / "inside.jpg").symlink_to(source / "1.jpg")
    (source / "nowhere.jpg").symlink_to(source / "gone.jpg")
    (source / "loop.jpg").symlink_to(source / "loop.jpg")
    (source / "round").symlink_to(source, target_is_directory=True)
    os.mkfifo(source / "pipe.jpg")
    assert prepare.prepare(source, home) == 7
    err = capsys.readouterr().err
    for words in ("out.jpg: a link that leads out", "pipe.jpg: not a regular file", "skipped 4 of 11"):
        assert words in err
    os.mkfifo(tmp_path / "pipe.zip")
    with pytest.raises(ValueError, match="does not exist"):
        prepare.prepare(tmp_path / "pipe.zip", home)


@pytest.mark.skipif(sys.platform != "linux", reason="limits the size of files the Linux way")
def test_a_full_disk_is_one_line_and_the_next_run_goes_on(home, tmp_path):
    import resource

    source = make_folder(tmp_path / "in", {f"{i}.jpg": encoded() for i in range(3)})
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))  # noqa: E731
    code, out, err = run(home, source, preexec_fn=limit)
    assert code == 1 and err.startswith("faces.prepare: ") and "Traceback" not in err
    assert not list(home.glob("celeba/*"))
    code, out, err = run(home, source)
    assert (code, err) == (0, "")
    assert_image_folder(home, 3)
    assert sorted(path.name for path in home.iterdir()) == ["celeba"]


# Kills.


def children(process):
    """Ids of the processes that process started (Linux)."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(status.read_text().rpartition(")")[2].split()[1]) == process.pid:
                found.append(status.parent)
        except OSError:
            pass
    return found


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs SIGKILL")
def test_killed_at_random_moments_and_run_again(home, tmp_path):
    noise = np.random.default_rng(1)
    members = [(f"{i}.jpg", encoded(picture((178, 218), noise=noise))) for i in range(800)]
    source = make_zip(tmp_path / "img_align_celeba.zip", members)
    whole = tmp_path / "whole"
    whole.mkdir()
    prepare.prepare(source, whole)
    expected = contents(whole)
    moments, counts, kills = random.Random(0), [], 0
    for _ in range(KILLS):
        process = start(home, source)
        aim = len(contents(home)) + moments.randrange(0, 250)
        while process.poll() is None and len(os.listdir(home / "celeba") if (home / "celeba").exists() else ()) < aim:
            time.sleep(0.01)
        workers = children(process)
        kills += process.poll() is None
        process.kill()
        process.communicate()
        done = contents(home) if (home / "celeba").exists() else {}
        assert all(expected[name] == data for name, data in done.items()), "half a picture"
        counts.append(len(done))
        for worker in workers:  # they must not outlive their parent by long
            for _ in range(200):
                if not worker.exists():
                    break
                threading.Event().wait(0.05)
            assert not worker.exists(), "a worker lives on"
    assert kills and counts == sorted(counts)
    code, out, err = run(home, source)
    assert (code, err) == (0, "")
    assert contents(home) == expected and len(expected) == 800
    assert sorted(path.name for path in home.iterdir()) == ["celeba"]


@pytest.mark.skipif(sys.platform == "win32", reason="needs signals")
def test_ctrl_c_is_one_line(home, tmp_path):
    source = make_folder(tmp_path / "in", {f"{i}.jpg": JPEG for i in range(1500)})
    process = start(home, source, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    while not (home / "celeba").exists():
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert err == "faces.prepare: stopped; run it again to go on\n"


@pytest.mark.skipif(sys.platform != "linux", reason="finds the workers in /proc")
def test_a_dying_worker_is_one_line(home, tmp_path):
    source = make_folder(tmp_path / "in", {f"{i}.jpg": JPEG for i in range(1500)})
    process = start(home, source)
    while not (home / "celeba").exists():
        time.sleep(0.01)
    workers = [child for child in children(process) if b"spawn_main" in (child / "cmdline").read_bytes()]
    os.kill(int(workers[0].name), signal.SIGKILL)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert err.startswith("faces.prepare: a worker process died") and err.count("\n") == 1


# Real photographs.


@pytest.mark.skipif("FACE_RAW_ZIP" not in os.environ, reason="FACE_RAW_ZIP names no zip of photographs")
def test_raw_photographs(home):
    pytest.importorskip("dlib")
    source = Path(os.environ["FACE_RAW_ZIP"]).resolve()
    code, out, err = run(home, source)
    assert (code, err) == (0, "")
    count = len(zipfile.ZipFile(source).namelist())
    assert_image_folder(home, count)
    found = int(out.split(" centred on the face")[0].split()[-1].replace(",", ""))
    assert found >= 0.9 * count
