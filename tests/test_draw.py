"""faces.draw: the drawn faces are the same every time, no two alike, found by a face detector and close to photographs."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.datasets import ImageFolder

import common
from faces import draw
from measures import detect, embedding
from measures.needs import Missing

ROOT = Path(draw.__file__).resolve().parent.parent

COUNT = 200  # faces that are looked at


@pytest.fixture(scope="module")
def faces():
    return draw.draw(range(COUNT))


def small(faces):
    """Reduce faces (N, S, S, 3) to what the notebook trains on: uint8 tensor (N, 3, 32, 32)."""
    reduced = np.stack([np.asarray(Image.fromarray(face).resize((32, 32), Image.Resampling.LANCZOS)) for face in faces])
    return torch.from_numpy(reduced).permute(0, 3, 1, 2)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_shape_and_range(faces):
    assert faces.shape == (COUNT, 64, 64, 3) and faces.dtype == np.uint8
    assert faces.min() < 10 and faces.max() > 245


def test_a_face_depends_on_the_seed_and_its_number_alone(faces):
    assert np.array_equal(draw.draw(range(COUNT)), faces)
    numbers = [57, 3, 150, 3]
    assert np.array_equal(draw.draw(numbers), faces[numbers]), "alone, among others or in another order"
    assert np.array_equal(draw.draw([7])[0], faces[7])
    others = draw.draw(range(20), seed=1)
    assert (others != faces[:20]).reshape(20, -1).any(1).all()


def test_what_is_written_is_what_was_drawn(faces, tmp_path):
    assert draw.draw_faces(tmp_path, 30) == 30
    for number, face in enumerate(faces[:30]):
        written = np.asarray(Image.open(tmp_path / f"{number:05d}.jpg"), np.int16)
        assert np.abs(written - face).mean() < 6, "more than JPEG takes away"


def test_the_folder_is_one_that_imagefolder_reads(tmp_path):
    assert draw.draw_faces(tmp_path / "drawn", 12) == 12
    pictures = ImageFolder(tmp_path)
    assert len(pictures) == 12 and pictures.classes == ["drawn"]
    assert {(image.size, image.mode) for image, _ in pictures} == {((64, 64), "RGB")}
    assert sorted(contents(tmp_path / "drawn")) == [f"{number:05d}.jpg" for number in range(12)]


def test_a_stopped_run_is_completed(tmp_path):
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    draw.draw_faces(whole, 20)
    draw.draw_faces(stopped, 7)
    (stopped / "00003.jpg").unlink()
    half = (whole / "00011.jpg").read_bytes()[:500]
    (stopped / ".00011.part").write_bytes(half)  # what a killed run leaves
    kept = (stopped / "00005.jpg").stat().st_mtime_ns
    assert draw.draw_faces(stopped, 20) == 20
    assert contents(stopped) == contents(whole)
    assert (stopped / "00005.jpg").stat().st_mtime_ns == kept, "what was there is not drawn again"


def test_an_interrupted_run_leaves_whole_pictures_only_and_stops(tmp_path, monkeypatch):
    class Interrupted(common.Progress):
        def update(self, n=1):
            raise KeyboardInterrupt

    monkeypatch.setattr(draw, "Progress", Interrupted)
    with pytest.raises(KeyboardInterrupt):
        draw.draw_faces(tmp_path, 2000)
    names = list(contents(tmp_path))
    assert len(names) < 1000 and all(name.endswith(".jpg") for name in names)
    for name in names:
        Image.open(tmp_path / name).load()


def test_a_full_disk_is_an_error_and_leaves_no_broken_picture(tmp_path):
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
        with pytest.raises(OSError, match="File too large"):
            draw.draw_faces(tmp_path, 20)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list(tmp_path.glob("*.jpg"))
    assert draw.draw_faces(tmp_path, 20) == 20


def run(*command, cwd=ROOT, **settings):
    """Run a command in Python: its output, after it ended without error."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **settings}
    return subprocess.run([sys.executable, *command], cwd=cwd, env=environment, capture_output=True, text=True, check=True)


def test_the_command_line(tmp_path):
    ran = run("-m", "faces.draw", tmp_path / "drawn", "--count", "5", "--seed", "3")
    assert ran.stdout == f"5 faces in {tmp_path / 'drawn'}\n"
    assert ran.stderr == "", "no progress bar in a log"
    draw.draw_faces(tmp_path / "here", 5, seed=3)
    assert contents(tmp_path / "drawn") == contents(tmp_path / "here")


MANY = 8 * 50 + 1  # so many that several processes draw them
DRAW = f"""
import sys
from pathlib import Path
from faces import draw
draw.os.cpu_count = lambda: 3
alone, draw._write = draw._write, lambda folder, numbers, *others: (alone(folder, numbers, *others), print(len(numbers)))
print(draw.draw_faces(Path(sys.argv[1], "ein Gesicht ä"), {MANY}))
"""


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """What one process alone draws."""
    folder = tmp_path_factory.mktemp("many")
    draw._write(folder, list(range(MANY)), 0, lambda _: None)
    return contents(folder)


@pytest.mark.parametrize("start", ["script without a guard", "code", "elsewhere"])
def test_however_python_was_started_many_are_drawn_by_all_processes(tmp_path, many, start):
    (tmp_path / "script.py").write_text(DRAW, encoding="utf-8")
    if start == "elsewhere":  # as a notebook that comes into the project's folder later
        ran = run("-c", f"import os, sys\nsys.path.insert(0, '')\nos.chdir({str(ROOT)!r})\n{DRAW}", tmp_path, cwd=tmp_path,
                  PYTHONPATH="")
    else:
        ran = run(*(["-c", DRAW] if start == "code" else [tmp_path / "script.py"]), tmp_path)
    assert ran.stdout.split() == ["0", str(MANY)] and ran.stderr == "", "nothing is left for the process itself"
    assert contents(tmp_path / "ein Gesicht ä") == many


@pytest.mark.parametrize("python", ["no_such_program", pytest.param("false", marks=pytest.mark.skipif(
    sys.platform == "win32", reason="there is no such program"))])
def test_where_no_process_can_draw_this_one_does(tmp_path, monkeypatch, many, python):
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    monkeypatch.setattr(sys, "executable", python)
    assert draw.draw_faces(tmp_path, MANY) == MANY
    assert contents(tmp_path) == many


def test_the_pixels_stay_what_they_are(faces):
    """The means of 16 x 16 pixels, as whole numbers: a processor's own rounding, one level in a million, does not show."""

    def digest(faces):
        blocks = faces.reshape(-1, 4, 16, 4, 16, 3).sum((2, 4), dtype=np.int64) // 256
        return hashlib.blake2b(blocks.astype(np.uint8).tobytes(), digest_size=8).hexdigest()

    assert digest(faces) == "e5e1d825bf85ce48"
    assert digest(draw.draw(range(50), seed=3)) == "f4377519855ccd78"


def test_only_what_was_drawn_is_removed(tmp_path, capsys):
    folder = tmp_path / "drawn"
    draw.draw_faces(folder, 4)
    mine = {"00009.jpg": (64, 64), "00010.jpg": (80, 64), "portrait.jpg": (64, 64)}
    for name, size in mine.items():
        Image.new("RGB", size, "brown").save(folder / name, quality=90)
    (folder / "0001.jpg").write_bytes((folder / "00001.jpg").read_bytes())  # drawn, but not by this name
    (folder / "deep").mkdir()
    (folder / "deep" / "00002.jpg").write_bytes((folder / "00002.jpg").read_bytes())
    (folder / "00011.jpg").write_bytes(b"")
    (folder / "00012.jpg").mkdir()
    others = sorted([*mine, "0001.jpg", "deep", "00011.jpg", "00012.jpg"])
    assert draw.remove_drawn(folder) == 4
    assert sorted(path.name for path in folder.iterdir()) == others
    assert capsys.readouterr().out == (f"6 pictures in {folder} were not drawn by this project: they stay, "
                                       "and count as photographs.\n")


def test_a_folder_of_drawn_faces_alone_is_removed_with_them(tmp_path, capsys):
    draw.draw_faces(tmp_path / "drawn", 4)
    assert draw.remove_drawn(tmp_path / "drawn") == 4
    assert not (tmp_path / "drawn").exists() and capsys.readouterr().out == ""


def test_pictures_that_an_earlier_edition_drew_are_known(tmp_path):
    for name, face in zip(("00000.jpg", "00001.jpg"), draw.draw(range(2)), strict=True):
        Image.fromarray(face).save(tmp_path / name, "JPEG", quality=92)  # as it wrote them: no comment
    Image.new("RGB", (64, 64), "brown").save(tmp_path / "00002.jpg", quality=92, comment=b"holidays")
    assert [draw.is_drawn(tmp_path / f"0000{number}.jpg") for number in range(3)] == [True, True, False]


def test_no_two_faces_are_alike(faces):
    pixels = small(faces).flatten(1).float()
    distances = torch.cdist(pixels, pixels).fill_diagonal_(torch.inf) / pixels.shape[1] ** 0.5
    assert distances.min() > 10, "grey levels, root mean square"


def test_a_face_is_found_in_nearly_all(faces):
    try:
        assert detect.faces_found(small(faces)) >= 0.94  # 0.97 of 2,000; 0.87 of photographs
    except Missing as missing:
        pytest.skip(str(missing))


def test_close_to_photographs(faces):
    folder = os.environ.get("FACE_PHOTOS")
    if not folder:
        pytest.skip("FACE_PHOTOS names no folder of photographs")
    try:
        network = embedding.face_embedding()
    except Missing as missing:
        pytest.skip(str(missing))
    samples = ImageFolder(folder).samples
    chosen = np.random.default_rng(0).permutation(len(samples))[: 2 * COUNT]
    photographs = small([np.asarray(Image.open(samples[i][0]).convert("RGB").resize((64, 64))) for i in chosen])
    ours = embedding.features(network, small(faces))
    theirs, others = embedding.features(network, photographs).split(COUNT)
    distance, floor = (embedding.feature_distances(some, theirs)[0] for some in (ours, others))
    assert distance - floor < 0.08, "0.05 of 1,000; a crude drawing is at 0.20, noise at 0.30"
