"""benchmarks/recipes.py and further/: every recipe trains by the notebook's loop, and best's parts do what they say."""

import pytest
import recipes
import torch

import helper
import problem_unittests
from further import best


@pytest.fixture(scope="module")
def pictures():
    return torch.randint(0, 256, (256, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", recipes.RECIPES)
def test_every_recipe_trains_and_makes_faces(name, pictures, tmp_path, monkeypatch):
    monkeypatch.setattr(recipes, "DRAWS", 1)
    monkeypatch.setattr(recipes, "HELD_OUT", 10)
    recipe = recipes.RECIPES[name](32)
    before = [value.clone() for network in (recipe.D, recipe.G) for value in network.parameters()]
    run = recipes.train(recipe, pictures, 256, tmp_path)
    after = [value for network in (recipe.D, recipe.G) for value in network.parameters()]
    assert run.images == 256 and len(before) == len(after)
    still = sum(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert still == (name == "relativistic")  # that loss takes differences: D's last bias falls out of them
    for G in (recipe.G, run.parts["G_average"]):
        faces = recipes.faces_of(G, recipe)
        assert faces.shape == (10, 3, 32, 32) and faces.dtype == torch.uint8 and faces.float().std() > 0


def test_a_training_that_is_kept_is_gone_on_with(pictures, tmp_path, capsys):
    recipes.train(recipes.learners(32), pictures, 256, tmp_path)
    run = recipes.train(recipes.learners(32), pictures, 512, tmp_path)
    assert run.images == 512 and "Going on" in capsys.readouterr().out
    with pytest.raises(helper.FaceError, match="other settings"):
        recipes.train(recipes.tutorial(32), pictures, 512, tmp_path)


def test_a_folder_of_another_training_is_refused_in_one_line(pictures, tmp_path, monkeypatch):
    recipes.train(recipes.learners(32), pictures, 256, tmp_path / "default-32-0")
    monkeypatch.setattr(recipes, "load", lambda folder, size: pictures)
    monkeypatch.setattr(recipes, "split", lambda photographs: (photographs, photographs))
    monkeypatch.setattr(recipes, "floor", lambda reals, photographs: None)
    monkeypatch.setattr("sys.argv", ["recipes.py", "photographs", "--folder", str(tmp_path), "default"])
    with pytest.raises(SystemExit, match=r"^recipes.py: .*default-32-0 holds a run with other settings .*"):
        recipes.main()


def test_the_best_recipe_is_not_gone_on_with_as_the_default_one(pictures, tmp_path):
    recipes.train(recipes.default(32), pictures, 256, tmp_path)
    with pytest.raises(helper.FaceError, match=r"other settings \(D"):
        recipes.train(recipes.best(32), pictures, 512, tmp_path)


def test_the_best_discriminator_passes_the_notebook_s_check(capsys):
    problem_unittests.test_discriminator(best.Discriminator)
    assert "Tests Passed" in capsys.readouterr().out


def test_a_training_is_gone_on_with_while_its_learning_rate_falls(pictures, tmp_path, capsys):
    def rates():
        run = recipes.train(recipes.best(32), pictures, 5 * 256, tmp_path)  # 5 epochs of 8 batches
        return [run.parts[name].param_groups[0]["lr"] for name in ("d_optimizer", "g_optimizer")]

    before_the_last_step = [4e-4 * (1 / 40) / 0.4] * 2
    assert rates() == pytest.approx(before_the_last_step)
    max(tmp_path.glob("*.pt")).unlink()
    assert rates() == pytest.approx(before_the_last_step) and "epoch 4 of 5" in capsys.readouterr().out
    with pytest.raises(helper.FaceError, match=r"other settings \(steps: then 40, now 48"):
        recipes.train(recipes.best(32), pictures, 6 * 256, tmp_path)


def test_the_learning_rate_stays_for_three_fifths_and_falls_to_nothing():
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer, rates = best.FallingAdam([weight], 1.0, (0.1, 0.999), 10), []
    for _ in range(12):
        weight.grad = torch.ones(1)
        optimizer.step()
        rates.append(optimizer.param_groups[0]["lr"])
    assert rates == pytest.approx([1] * 7 + [0.75, 0.5, 0.25, 0, 0])


def test_overfitting_is_what_d_makes_of_photographs_that_it_has_not_seen(pictures, monkeypatch):
    recipe = recipes.learners(32)
    for answers, expected in (((2.0, 2.0, -1.0), 0.0), ((2.0, -1.0, -1.0), 1.0), ((3.0, 2.0, -1.0), 0.25)):
        told = iter(answers)
        monkeypatch.setattr(recipe.D, "forward", lambda x, told=told: torch.full((len(x), 1), next(told)))
        assert recipes.overfitting(recipe, pictures[:100], pictures) == pytest.approx(expected)


# --- further/best.py


def test_each_picture_is_changed_in_its_own_way():
    x = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0)).repeat(50, 1, 1, 1) - 0.5
    changed = best.augment(x)
    assert changed.shape == x.shape and len({tuple(one.flatten()[:20].tolist()) for one in changed}) == 50


@pytest.mark.parametrize("size", [32, 64])
def test_pictures_are_moved_by_whole_pixels_and_not_far(size, monkeypatch):
    monkeypatch.setattr(torch, "rand", lambda *shape, device: torch.full(shape, 0.5, device=device))  # colours stay
    torch.manual_seed(0)
    x, most, seen = torch.randn(1, 3, size, size), size // 16, set()
    for one in best.augment(x.repeat(300, 1, 1, 1)):
        inside = one[:, most:-most, most:-most]
        found = [(i, j) for i in range(2 * most + 1) for j in range(2 * most + 1)
                 if torch.allclose(inside, x[0, :, i:i + size - 2 * most, j:j + size - 2 * most], atol=1e-4)]
        assert len(found) == 1
        seen.update(found)
    down, across = zip(*seen, strict=True)
    assert set(down) == set(across) == set(range(2 * most + 1))


def test_brightness_saturation_and_contrast_stay_within_their_limits(monkeypatch):
    monkeypatch.setattr(torch, "randint", lambda low, high, shape, device: torch.zeros(shape, device=device))
    x = (torch.rand(1, 3, 16, 16) - 0.5).repeat(2000, 1, 1, 1)
    changed = best.augment(x)
    brighter = (changed - x).mean((1, 2, 3))
    assert 0.13 < brighter.max() < 0.151 and -0.151 < brighter.min() < -0.13
    contrast = changed.mean(1).std((1, 2)) / x.mean(1).std((1, 2))
    assert 1.13 < contrast.max() < 1.151 and 0.849 < contrast.min() < 0.87
    saturation = (changed - changed.mean(1, keepdim=True)).std((1, 2, 3)) / (x - x.mean(1, keepdim=True)).std((1, 2, 3))
    assert 1.2 < (saturation / contrast).max() < 1.251 and 0.749 < (saturation / contrast).min() < 0.8


def test_the_generator_gets_its_gradient_through_the_change():
    x = torch.randn(4, 3, 32, 32, requires_grad=True)
    best.augment(x).square().sum().backward()
    assert x.grad.isfinite().all() and (x.grad != 0).float().mean() > 0.7  # what is moved out of the picture gets none


@pytest.mark.parametrize(("kind", "seen", "share"), [
    (best.Discriminator, 0, 0.0), (best.Discriminator, 2_399_999, 0.0), (best.Discriminator, 2_400_000, 0.6),
    (recipes.EarlyAugmentation, 0, 0.0), (recipes.EarlyAugmentation, 1_500_000, 0.5),
    (recipes.EarlyAugmentation, 100_000_000, 0.8),
])
def test_so_many_pictures_are_changed_and_only_in_training(kind, seen, share):
    D, x = kind(8), torch.rand(2000, 3, 32, 32)
    D.layers = torch.nn.Identity()  # so that it gives what it looks at
    D.seen = seen
    changed = (D(x) != x.flatten(1)).any(1).float().mean()
    assert abs(changed - share) < 0.05 and D.seen == seen + 2000
    D.eval()
    assert torch.equal(D(x), x.flatten(1)) and D.seen == seen + 2000


def test_a_training_that_goes_on_goes_on_counting_what_d_saw(pictures, tmp_path):
    recipes.train(recipes.best(32), pictures, 512, tmp_path)
    max(tmp_path.glob("*.pt")).unlink()
    recipe = recipes.best(32)
    recipes.train(recipe, pictures, 512, tmp_path)
    assert recipe.D.seen == 3 * 512
