"""draw.py: the drawn faces are the same every time, no two alike, found by a face detector and close to photographs."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.datasets import ImageFolder

sys.dont_write_bytecode = True  # before draw is imported: no __pycache__ in the data folder
import draw  # noqa: E402
import quality  # noqa: E402

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


@pytest.mark.parametrize("threads", [1, 3])
def test_the_number_of_threads_does_not_show(faces, tmp_path, monkeypatch, threads):
    monkeypatch.setattr(os, "cpu_count", lambda: threads)
    assert draw.draw_faces(tmp_path, 30) == 30
    for number, face in enumerate(faces[:30]):
        written = np.asarray(Image.open(tmp_path / f"{number:05d}.jpg"), np.int16)
        assert np.abs(written - face).mean() < 6, "more than JPEG takes away"
    if threads > 1:
        before = contents(tmp_path)
        for path in tmp_path.iterdir():
            path.unlink()
        draw.draw_faces(tmp_path, 30)
        assert contents(tmp_path) == before


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
    class Interrupted(draw.tqdm):
        def update(self, n=1):
            raise KeyboardInterrupt

    monkeypatch.setattr(draw, "tqdm", Interrupted)
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


def test_the_command_line(tmp_path):
    command = [sys.executable, "-B", draw.__file__, tmp_path / "drawn", "--count", "5", "--seed", "3"]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ran.stdout == f"5 faces in {tmp_path / 'drawn'}\n"
    assert ran.stderr == "", "no progress bar in a log"
    draw.draw_faces(tmp_path / "here", 5, seed=3)
    assert contents(tmp_path / "drawn") == contents(tmp_path / "here")


def test_no_two_faces_are_alike(faces):
    pixels = small(faces).flatten(1).float()
    distances = torch.cdist(pixels, pixels).fill_diagonal_(torch.inf) / pixels.shape[1] ** 0.5
    assert distances.min() > 10, "grey levels, root mean square"


def test_a_face_is_found_in_nearly_all(faces):
    try:
        assert quality.faces_found(small(faces)) >= 0.94  # 0.97 of 2,000; 0.87 of photographs
    except quality.Missing as missing:
        pytest.skip(str(missing))


def test_close_to_photographs(faces):
    folder = os.environ.get("FACE_PHOTOS")
    if not folder:
        pytest.skip("FACE_PHOTOS names no folder of photographs")
    try:
        embedding = quality.face_embedding()
    except quality.Missing as missing:
        pytest.skip(str(missing))
    samples = ImageFolder(folder).samples
    chosen = np.random.default_rng(0).permutation(len(samples))[: 2 * COUNT]
    photographs = small([np.asarray(Image.open(samples[i][0]).convert("RGB").resize((64, 64))) for i in chosen])
    ours = quality.features(embedding, small(faces))
    theirs, others = quality.features(embedding, photographs).split(COUNT)
    distance, floor = (quality.feature_distances(some, theirs)[0] for some in (ours, others))
    assert distance - floor < 0.08, "0.05 of 1,000; a crude drawing is at 0.20, noise at 0.30"
