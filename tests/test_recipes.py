"""benchmarks/recipes.py and the losses and layers that its recipes take: each trains by the notebook's own loop."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from benchmarks import architectures, others, recipes
from common import FaceError
from further import course, layers, losses


@pytest.fixture(scope="module")
def pictures():
    return torch.randint(0, 256, (256, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def trained(name, pictures, images, folder):
    """Set up a recipe and train it. Returns what was set up, and the run."""
    own = recipes.set_up(recipes.RECIPES[name], 32)
    return own, recipes.train(recipes.RECIPES[name], own, pictures, images, folder)


@pytest.mark.parametrize("name", recipes.RECIPES)
def test_every_recipe_trains_and_makes_faces(name, pictures, tmp_path):
    own = recipes.set_up(recipes.RECIPES[name], 32)
    before = [value.clone() for network in (own.D, own.G) for value in network.parameters()]
    images = 2 * own.batch_size  # two steps: the gradient of a single one may happen to be 0 in 16 bits
    run = recipes.train(recipes.RECIPES[name], own, pictures[:images], images, tmp_path)
    after = [value for network in (own.D, own.G) for value in network.parameters()]
    assert run.images == images and len(before) == len(after)
    still = sum(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    of_differences = name in ("relativistic", "best_relativistic", "norm_free", "norm_free_lazy")
    assert still == of_differences  # D's last bias falls out of a loss of differences
    for G in (own.G, own.G_average):
        faces = recipes.faces_of(G, own, 10)
        assert faces.shape == (10, 3, 32, 32) and faces.dtype == torch.uint8 and faces.float().std() > 0


def test_a_training_that_is_kept_is_gone_on_with(pictures, tmp_path, capsys):
    trained("learners", pictures, 256, tmp_path)
    _, run = trained("learners", pictures, 512, tmp_path)
    assert run.images == 512 and "Going on" in capsys.readouterr().out
    with pytest.raises(FaceError, match="other settings"):
        trained("tutorial", pictures, 512, tmp_path)
    with pytest.raises(FaceError, match="other settings .faces"):
        trained("learners", pictures.flip(0), 768, tmp_path)


def test_a_folder_of_another_training_is_refused_in_one_line(pictures, tmp_path, monkeypatch):
    trained("learners", pictures, 256, tmp_path / "default-32-0")
    monkeypatch.setattr(recipes, "load", lambda folder, size: pictures)
    monkeypatch.setattr(recipes, "split", lambda photographs: (photographs, photographs))
    monkeypatch.setattr(recipes, "floor", lambda reals, photographs: None)
    monkeypatch.setattr("sys.argv", ["recipes.py", "photographs", "--folder", str(tmp_path), "default"])
    with pytest.raises(SystemExit, match=r"^recipes.py: .*default-32-0 holds a run with other settings .*"):
        recipes.main()


def test_the_best_recipe_is_not_gone_on_with_as_the_default_one(pictures, tmp_path):
    trained("default", pictures, 256, tmp_path)
    with pytest.raises(FaceError, match=r"other settings \(D"):
        trained("best", pictures, 512, tmp_path)


def test_a_training_is_gone_on_with_while_its_learning_rate_falls(pictures, tmp_path, capsys):
    def rates(epochs=5):
        _, run = trained("best", pictures, epochs * 256, tmp_path)  # epochs of 8 batches
        return [run.parts[name].param_groups[0]["lr"] for name in ("d_optimizer", "g_optimizer")]

    assert rates() == [0, 0]
    capsys.readouterr()
    assert rates(6) == [0, 0]
    assert "0 after 40 of 40 steps. With 48 steps it goes on at 0.000167, and falls from step 40" in capsys.readouterr().out


def test_a_training_that_goes_on_goes_on_counting_what_d_saw(pictures, tmp_path):
    trained("best", pictures, 256, tmp_path)
    own, _ = trained("best", pictures, 512, tmp_path)
    assert own.D.seen == 3 * 512


def test_overfitting_is_what_d_makes_of_photographs_that_it_has_not_seen(pictures, monkeypatch):
    own = recipes.set_up(recipes.RECIPES["learners"], 32)
    for answers, expected in (((2.0, 2.0, -1.0), 0.0), ((2.0, -1.0, -1.0), 1.0), ((3.0, 2.0, -1.0), 0.25)):
        told = iter(answers)
        monkeypatch.setattr(own.D, "forward", lambda x, told=told: torch.full((len(x), 1), next(told)))
        assert recipes.overfitting(own, pictures[:100], pictures) == pytest.approx(expected)


def test_what_a_recipe_changes_is_changed_and_nothing_else():
    plain, own = course.set_up(), recipes.set_up(recipes.RECIPES["two_time_scales"], 32)
    d_rate, g_rate = (optimizer.param_groups[0]["lr"] for optimizer in (own.d_optimizer, own.g_optimizer))
    assert g_rate == plain.learning_rate and d_rate == 2 * g_rate
    assert own.batch_size == plain.batch_size and own.betas == plain.betas and str(own.D) == str(plain.D)
    with recipes.set_up(recipes.RECIPES["float32"], 32).train.__globals__["helper"].fast_math(plain.device):
        assert not torch.is_autocast_enabled(plain.device.type)
    learners = recipes.set_up(recipes.RECIPES["learners"], 32)
    assert learners.random_z(1000, 3, "cpu").abs().max() <= 1 and learners.mirror_half(learners) is learners


def test_a_step_at_every_second_batch_returns_the_loss_that_it_had():
    numbers = iter(range(10))
    own = SimpleNamespace(discriminator_step=lambda _D: next(numbers), generator_step=lambda: "g")
    d_step, g_step = others.at_every_second("discriminator_step")(own)
    assert [d_step(None) for _ in range(5)] == [0, 0, 1, 1, 2] and g_step() == "g"


# --- further/losses.py, with a D whose answer is one number and a G that makes one picture


class Brightness(nn.Module):
    """D(x) = slope * mean of x."""

    def __init__(self):
        super().__init__()
        self.slope = nn.Parameter(torch.tensor(2.0))

    def forward(self, x):
        return self.slope * x.mean((1, 2, 3))[:, None]


@pytest.fixture
def game():
    """own, and a function that returns the losses of two steps: D meets pictures of 0.5, for which it answers 1, and made
    ones of -0.25, for which it answers -0.5; nothing moves."""
    D, G = Brightness(), nn.Linear(1, 1)
    still = [torch.optim.SGD(network.parameters(), 0.0) for network in (D, G)]

    def both_losses(steps):
        fake = (0 * G(torch.zeros(1, 1)) - 0.25).view(1, 1, 1, 1).expand(4, 3, 8, 8)
        d_loss = steps[0](D, G, torch.full((4, 3, 8, 8), 0.75), still[0], fake)
        return [d_loss.item(), steps[1](D, G, 4, still[1], fake).item()]

    return course.load(), both_losses


def test_hinge(game):
    own, both_losses = game
    assert both_losses(losses.hinge(own)) == pytest.approx([0 + 0.5, 0.5])


def test_relativistic(game):
    own, both_losses = game
    softplus = nn.functional.softplus
    expected = [softplus(torch.tensor(-1.5)).item(), softplus(torch.tensor(1.5)).item()]
    assert both_losses(losses.relativistic(own)) == pytest.approx(expected)


def test_the_loss_of_pairs_and_both_penalties_by_hand(game):
    own, both_losses = game
    d_step, g_step = architectures.paired(own, gamma=0.6, every=2)
    (with_penalty, g_loss), (without, _) = both_losses((d_step, g_step)), both_losses((d_step, g_step))
    softplus = nn.functional.softplus
    assert [without, g_loss] == pytest.approx([softplus(torch.tensor(-1.5)).item(), softplus(torch.tensor(1.5)).item()])
    squared = 2**2 / 192  # of D's gradient: slope / 192 at each of the 192 numbers of a picture, real or made
    assert with_penalty == pytest.approx(without + 2 * 0.6 / 2 * (squared + squared))


# --- further/layers.py


def test_spectral_normalisation_takes_the_place_of_batchnorm():
    D = layers.spectral(course.load().Discriminator)(8)
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in D.modules())
    D.train()
    for _ in range(50):  # each pass makes the estimate of the largest singular value better
        D(torch.randn(2, 3, 32, 32))
    for layer in D.modules():
        if isinstance(layer, nn.Conv2d):
            assert torch.linalg.matrix_norm(layer.weight.flatten(1), 2).item() == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("size", [32, 64])
def test_shortcuts_pass_each_layer_of_stride_two_that_has_batchnorm(size):
    own = course.load()
    D = layers.with_shortcuts(own.Discriminator)(8, size)
    G = layers.with_shortcuts(own.Generator)(10, 8, size)
    doublings = {32: 3, 64: 4}[size]
    for network, count in ((D, doublings - 1), (G, doublings)):
        assert sum(isinstance(layer, layers.WithShortcut) for layer in network.layers) == count
    assert D(torch.zeros(2, 3, size, size)).shape == (2, 1) and G(torch.zeros(2, 10)).shape == (2, 3, size, size)
