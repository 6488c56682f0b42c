"""benchmarks/quality.py: all measures together, the table, and the command line."""

import functools
import os

import pytest
import torch
from drawn import drawn, noise, whole
from PIL import Image
from torch import nn
from torch.nn import functional as F

from benchmarks import quality
from measures.needs import Missing
from measures.patches import sliced_wasserstein
from measures.variety import variety

# --- All of them, and the table ---------------------------------------------------------------------------------------


class Pooled(nn.Module):
    """Stands in for a network: the colours of each quarter of a picture."""

    def forward(self, faces):
        return F.adaptive_avg_pool2d(faces.float() / 255, 2).flatten(1)


@pytest.fixture
def without_weights(monkeypatch, tmp_path):
    """No Inception on this disk; stand-ins, because they have tests of their own, for the embedding and the detector."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(quality, "face_embedding", Pooled)
    monkeypatch.setattr(quality, "faces_found", lambda faces: 0.5)
    monkeypatch.setattr(quality, "variety", functools.partial(variety, pairs=200))
    monkeypatch.setattr(quality, "sliced_wasserstein", functools.partial(sliced_wasserstein, patches=16))
    quality.inception.cache_clear()


def test_split_keeps_photographs_and_their_copies_out_of_training():
    photographs = whole(drawn(400))
    photographs = torch.cat([photographs, photographs.flip(3)])  # each picture is there twice
    train, reals = quality.split(photographs, held_out=100)
    again = quality.split(photographs, held_out=100)
    assert torch.equal(reals, again[1]) and torch.equal(train, again[0])
    assert not torch.equal(reals, quality.split(photographs, held_out=100, seed=1)[1])
    known = {picture.numpy().tobytes() for half in (reals, reals.flip(3)) for picture in half}
    assert not any(picture.numpy().tobytes() in known for picture in train)
    assert len(train) == 800 - len(known)  # nothing else is lost
    with pytest.raises(ValueError, match="399 photographs are too few: 400 or more"):
        quality.split(photographs[:399], held_out=100)


def test_every_measure_is_in_the_rows_and_what_is_missing_says_so(without_weights):
    train, reals = quality.split(whole(drawn(400)), held_out=100)
    rows = quality.measure(train[:200], reals, train, draws=2)
    assert [row.measure for row in rows] == list(quality.COLUMNS)
    assert {row.n for row in rows} == {100}
    by_name = {row.measure: row for row in rows}
    assert by_name["memorised"].values == (1, 1)
    assert len(by_name["Fréchet, face"].values) == 2 and by_name["Fréchet, face"].spread > 0
    assert by_name["Fréchet, Inception"].values == ()
    assert by_name["kernel, Inception"].missing.startswith("Inception: not measured: put ")


def test_photographs_score_best_in_everything(without_weights):
    train, reals = quality.split(whole(drawn(800)), held_out=100)
    photographs = {row.measure: row for row in quality.floor(reals, train, draws=2)}
    copied = {row.measure: row for row in quality.measure(reals, reals, train, draws=1)}
    scrambled = {row.measure: row for row in quality.measure(whole(noise(100)), reals, train, draws=1)}
    assert copied["sliced"].mean == 0 and copied["Fréchet, face"].mean == pytest.approx(0, abs=1e-9)
    assert photographs["memorised"].mean < 0.05
    for name in ("sliced", "Fréchet, face", "kernel, face"):
        assert copied[name].mean < photographs[name].mean < scrambled[name].mean / 3
    assert scrambled["variety"].mean < photographs["variety"].mean


def test_the_table_gives_mean_and_spread_and_the_reason_for_each_gap():
    rows = [
        quality.Row("found", 1000, (0.8, 0.9)),
        quality.Row("sliced", 1000, (12.34,)),
        quality.Row("Fréchet, Inception", 1000, (), "Inception: not measured: no weights"),
    ]
    lines = quality.table({"ours": rows, "theirs": rows}).splitlines()
    assert lines[2] == "| ours (2 x 1,000) | 0.850 ± 0.071 | 12.3 | - |"
    assert lines[-1] == "Inception: not measured: no weights" and lines[-2] == ""  # once, however many rows want it


def test_side_by_side_shows_the_most_copied_face_first(tmp_path):
    pictures = whole(drawn(300))
    path = tmp_path / "pairs.png"
    fakes = torch.cat([whole(drawn(20, seed=1)), pictures[5:6]])
    quality.side_by_side(fakes, pictures, path, count=4)
    with Image.open(path) as image:
        assert image.size == (4 * 98 + 2, 2 * 98 + 2)
        first, below = (image.crop((2, y, 98, y + 96)) for y in (2, 100))
        assert first.tobytes() == below.tobytes()


# --- Generators and the command line ----------------------------------------------------------------------------------


class Plain(nn.Module):
    """One grey picture for each z: -1 where z is below zero, 1 elsewhere."""

    def forward(self, z):
        return torch.where(z[:, :1] < 0, -1.0, 1.0)[:, :, None, None].expand(-1, 3, 32, 32).clone()


def test_an_exported_generator_gives_the_faces_of_the_one_that_was_exported(tmp_path):
    path = tmp_path / "generator.pt2"
    example = (torch.randn(2, 7),)
    torch.export.save(torch.export.export(Plain(), example, dynamic_shapes=({0: torch.export.Dim.AUTO},)), path)
    generator, z_size = quality.load_generator(path)
    assert z_size == 7
    faces = quality.generate(generator, z_size, 260, seed=3)
    assert faces.shape == (260, 3, 32, 32) and set(faces.unique().tolist()) == {0, 255}
    assert torch.equal(faces, quality.generate(Plain(), 7, 260, seed=3))
    assert not torch.equal(faces, quality.generate(Plain(), 7, 260, seed=4))


@pytest.mark.parametrize(
    "arguments, says",
    [
        (["{folder}/none"], "{folder}/none is not a folder of folders of pictures"),
        (["{folder}", "--generator", "{folder}/wrong.pt2"], "wrong.pt2 is not a generator saved by torch.export"),
        (["{folder}", "--pairs", "pairs.png"], "--pairs shows generated faces: name a --generator"),
        (["{folder}"], "12 photographs are too few: 4,000 or more"),
    ],
)
def test_a_mistake_on_the_command_line_gets_one_line(arguments, says, tmp_path, monkeypatch, capsys):
    (tmp_path / "faces").mkdir()
    for i, picture in enumerate(whole(drawn(12)).permute(0, 2, 3, 1).numpy()):
        Image.fromarray(picture).save(tmp_path / "faces" / f"{i}.png")
    (tmp_path / "wrong.pt2").write_text("no generator")
    monkeypatch.setattr("sys.argv", ["quality.py", *(a.format(folder=tmp_path) for a in arguments)])
    with pytest.raises(SystemExit) as stopped:
        quality.main()
    message = stopped.value.code if isinstance(stopped.value.code, str) else capsys.readouterr().err.splitlines()[-1]
    assert says.format(folder=tmp_path) in message and "\n" not in message


# --- Photographs ------------------------------------------------------------------------------------------------------


@pytest.mark.skipif("FACE_PHOTOS" not in os.environ, reason="FACE_PHOTOS names no folder of photographs")
def test_photographs_noise_and_the_mean_face_score_as_known():
    pytest.importorskip("dlib", reason="needs dlib-bin")
    try:
        quality.face_embedding()
    except Missing as missing:
        pytest.skip(str(missing))
    train, reals = quality.split(quality.load(os.environ["FACE_PHOTOS"], 32), held_out=200)
    photographs = {row.measure: row for row in quality.floor(reals, train, draws=2)}
    scrambled = {row.measure: row for row in quality.measure(whole(noise(200)), reals, train, draws=1)}
    mean_face = train.float().mean(0, keepdim=True).to(torch.uint8).expand(200, -1, -1, -1)
    average = {row.measure: row for row in quality.measure(mean_face, reals, train, draws=1)}
    assert photographs["found"].mean > 0.7 and scrambled["found"].mean == 0
    assert photographs["Fréchet, face"].mean < 0.04  # biased upwards: 0.004 with 1,000 faces
    assert scrambled["Fréchet, face"].mean > 0.25 and average["Fréchet, face"].mean > 0.25
    assert average["variety"].mean == pytest.approx(1, abs=1e-4)
    assert scrambled["variety"].mean < photographs["variety"].mean < 0.5
    assert photographs["memorised"].mean < 0.05
