"""benchmarks/labels.py: D and G are told the class, and the faces are of all classes as the data is."""

import pytest
import torch
from torchvision.transforms.v2.functional import to_pil_image

from benchmarks import labels, recipes


@pytest.fixture(scope="module")
def known():
    """160 pictures of three classes, each class lighter than the one before; half of them are of class 0."""
    of = torch.tensor([0] * 80 + [1] * 60 + [2] * 20)
    noise = torch.randint(0, 20, (160, 3, 32, 32), generator=torch.Generator().manual_seed(0))
    return (noise + 100 * of[:, None, None, None]).to(torch.uint8), of


def test_behind_the_colours_lies_a_map_for_each_class(known):
    images, of = known
    both = labels.with_maps(images, of)
    assert both.shape == (160, 6, 32, 32) and both.dtype == torch.uint8 and torch.equal(both[:, :3], images)
    for label in range(3):
        assert torch.equal(both[:, 3 + label].float().mean((1, 2)), 255.0 * (of == label))


@pytest.mark.parametrize("name", labels.PARTS)
def test_g_draws_each_class_as_often_as_the_data_has_it_and_tells_d_in_training(known, name):
    own = recipes.set_up(labels.told(known[1], name), 32)
    G = own.G.cpu()
    made = G(torch.randn(2000, 129, generator=torch.Generator().manual_seed(0)))
    assert made.shape == (2000, 6, 32, 32)
    maps = made[:, 3:]
    assert set(maps.unique().tolist()) == {-1.0, 1.0} and torch.equal(maps, maps[:, :, :1, :1].expand_as(maps))
    assert torch.allclose((maps[:, :, 0, 0] == 1).float().mean(0), torch.tensor([0.5, 0.375, 0.125]), atol=0.03)
    assert (maps[:, :, 0, 0] == 1).sum(1).eq(1).all()
    D = own.D.cpu().eval()
    assert D(made[:4]).shape == (4, 1)
    torch.nn.init.ones_(D.of_class.data[:1])
    first, others = maps[:, 0, 0, 0] == 1, maps[:, 0, 0, 0] == -1
    torch.nn.init.zeros_(D.layers[-1].weight)
    assert (D(made[first][:9]) != D.layers[-1].bias).all() and (D(made[others][:9]) == D.layers[-1].bias).all()
    assert G.eval()(torch.randn(2, 129)).shape == (2, 3, 32, 32)


def test_best_sees_augmented_pictures_late_and_its_rate_falls(known, monkeypatch):
    recipe = labels.told(known[1], "best")
    D = recipes.set_up(recipe, 32).D.cpu()
    pictures = labels.with_maps(*known)[:8].float() / 127.5 - 1
    seen = []
    monkeypatch.setattr(labels.best, "augment", lambda x: seen.append(x.shape) or x)
    D(pictures)
    assert D.seen == 8 and not seen and recipe.falls
    D.seen.fill_(2_400_000)
    D(pictures)
    assert seen == [(8, 3, 32, 32)]  # the maps stay as they are


@pytest.mark.parametrize("name", labels.PARTS)
def test_the_class_reaches_the_picture(known, name):
    G = recipes.set_up(labels.told(known[1], name), 32).G.cpu().eval()
    z = torch.randn(1, 129).repeat(3, 1)
    z[:, -1] = torch.tensor([-2.0, -1.0, 3.0])  # twice the first class, and the last
    faces = G(z)
    assert torch.allclose(faces[0], faces[1], atol=1e-6) and not torch.allclose(faces[0], faces[2], atol=1e-4)


def test_it_trains_and_the_table_has_both(known, monkeypatch, capsys):
    images, of = known
    monkeypatch.setattr(labels.classes, "load", lambda folder: (images, of, ["a", "b", "c"]))
    monkeypatch.setattr(labels, "split_at", lambda photographs: (torch.arange(128), torch.arange(128, 160)))
    monkeypatch.setattr(labels, "floor", lambda reals, photographs: len(reals))
    monkeypatch.setattr(labels, "measure", lambda faces, reals, photographs: tuple(faces.shape[1:]))
    monkeypatch.setattr(labels, "table", lambda results: "\n".join(f"{row}: {result}" for row, result in results.items()))
    monkeypatch.setattr("sys.argv", ["labels.py", "sorted", "--images", "128"])
    labels.main()
    rows = capsys.readouterr().out.splitlines()[-3:]
    assert rows[0] == "photographs: 32"
    assert rows[1].startswith("default, seed 0, 128 images, ") and rows[1].endswith(": (3, 32, 32)")
    assert rows[2].startswith("default, labels, seed 0, 128 images, ") and rows[2].endswith(": (3, 32, 32)")


def test_one_class_is_refused_in_one_line(known, tmp_path, monkeypatch):
    (tmp_path / "all").mkdir()
    for number, picture in enumerate(known[0][:40]):
        to_pil_image(picture).save(tmp_path / "all" / f"{number}.png")
    monkeypatch.setattr("sys.argv", ["labels.py", str(tmp_path)])
    with pytest.raises(SystemExit, match="labels.py: .* holds one class, all: sort the pictures into folders, one a class"):
        labels.main()
