"""further/best.py: z reaches every layer, pictures are augmented and the learning rate falls, as it says."""

import pytest
import torch

import helper
import problem_unittests
from common import FaceError
from further import best, course, latent, layers

Discriminator, Generator = course.load().Discriminator, course.load().Generator


def rates_of(steps, total, rate=1.0):
    """The rate at each of so many steps, and the optimizer and Falling that gave them."""
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.Adam([weight], rate)
    falling, rates = best.Falling(total, optimizer), []
    for _ in range(steps):
        weight.grad = torch.ones(1)
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
    return rates, optimizer, falling


# --- z at every layer


def test_a_styled_g_has_no_other_norm_and_makes_pictures():
    G = best.styled(Generator)(10, 8).eval()
    assert sum(isinstance(layer, layers.ConditionalNorm) for layer in G.layers) == 5
    assert G(torch.randn(3, 10)).shape == (3, 3, 32, 32)


def test_the_styled_generator_passes_the_notebook_s_check_and_is_exported(tmp_path, capsys):
    problem_unittests.test_generator(best.styled(Generator))
    assert "Tests Passed" in capsys.readouterr().out
    G, z = best.styled(Generator)(10, 8, 64).eval(), torch.randn(3, 10)
    helper.export_generator(G, 10, tmp_path)
    torch.testing.assert_close(latent.Program(tmp_path / "generator.pt2")(z), G(z))


def test_a_generator_with_its_layers_elsewhere_is_refused_in_one_line():
    class Mine(torch.nn.Module):
        def __init__(self, z_size, conv_dim, image_size):
            super().__init__()

    with pytest.raises(FaceError, match="all its layers in one nn.Sequential, self.layers"):
        best.styled(Mine)(10, 8)


# --- Augmented pictures


def test_the_augmented_discriminator_passes_the_notebook_s_check(capsys):
    problem_unittests.test_discriminator(best.augmented(Discriminator))
    assert "Tests Passed" in capsys.readouterr().out


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


@pytest.mark.parametrize(("share", "seen", "expected"), [
    (best.late, 0, 0.0), (best.late, 2_399_999, 0.0), (best.late, 2_400_000, 0.6), (lambda seen: 0.25, 0, 0.25),
])
def test_so_many_pictures_are_changed_and_only_in_training(share, seen, expected):
    D, x = best.augmented(Discriminator, share)(8), torch.rand(2000, 3, 32, 32)
    D.layers = torch.nn.Identity()  # so that it gives what it looks at
    D.seen.fill_(seen)
    changed = (D(x) != x.flatten(1)).any(1).float().mean()
    assert abs(changed - expected) < 0.05 and D.seen == seen + 2000
    D.eval()
    assert torch.equal(D(x), x.flatten(1)) and D.seen == seen + 2000


def test_it_wraps_the_discriminator_that_it_is_given_and_keeps_its_count():
    class Mine(torch.nn.Module):
        def __init__(self, width, image_size=32):
            super().__init__()
            self.layer = torch.nn.Linear(width, 1)

        def forward(self, x):
            return self.layer(x.mean((1, 2, 3))[:, None])

    D = best.augmented(Mine)(1, image_size=64)
    D(torch.zeros(7, 3, 8, 8))
    other = best.augmented(Mine)(1)
    other.load_state_dict(D.state_dict())
    assert isinstance(D, Mine) and other.seen == D.seen == 7


# --- The rate


@pytest.mark.parametrize("total", [5, 10, 40, 1000])
def test_the_rate_is_what_the_formula_says_at_each_step(total):
    rates, optimizer, _ = rates_of(total, total, 4e-4)
    assert rates == pytest.approx([4e-4 * min(1, max(0, 1 - taken / total) / 0.4) for taken in range(total)])
    assert optimizer.param_groups[0]["lr"] == 0 and optimizer.param_groups[0]["initial_lr"] == 4e-4


def test_the_rate_stays_for_three_fifths_falls_to_nothing_and_stays_there():
    assert rates_of(12, 10)[0] == pytest.approx([1] * 7 + [0.75, 0.5, 0.25, 0, 0])


def test_two_rates_fall_together_each_from_its_own():
    weights = [torch.nn.Parameter(torch.ones(1)) for _ in range(2)]
    optimizers = [torch.optim.Adam([weight], rate) for weight, rate in zip(weights, (1.0, 0.5), strict=True)]
    best.Falling(10, *optimizers)
    for _ in range(8):
        for weight, optimizer in zip(weights, optimizers, strict=True):
            weight.grad = torch.ones(1)
            optimizer.step()
    assert [optimizer.param_groups[0]["lr"] for optimizer in optimizers] == pytest.approx([0.5, 0.25])


def test_a_rate_that_goes_on_goes_on_falling_and_says_nothing(capsys):
    _, optimizer, falling = rates_of(8, 10)
    weight = torch.nn.Parameter(torch.zeros(1))
    other = torch.optim.Adam([weight], 1.0)
    again = best.Falling(10, other)
    other.load_state_dict(optimizer.state_dict())
    again.load_state_dict(falling.state_dict())
    rates = []
    for _ in range(3):
        rates.append(other.param_groups[0]["lr"])
        weight.grad = torch.ones(1)
        other.step()
    assert rates == pytest.approx([0.5, 0.25, 0]) and capsys.readouterr().out == ""


def test_raising_the_length_of_a_finished_training_says_what_the_rate_does(capsys):
    _, optimizer, falling = rates_of(10, 10, 4e-4)
    other = torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))], 4e-4)
    longer = best.Falling(20, other)
    other.load_state_dict(optimizer.state_dict())
    longer.load_state_dict(falling.state_dict())
    assert capsys.readouterr().out == (
        "The learning rate was 0 after 10 of 10 steps. With 20 steps it goes on at 0.0004, and falls from step 12 on until "
        "it is 0 at step 20.\n")
    assert other.param_groups[0]["lr"] == 4e-4 and longer.schedules[0].last_epoch == 10


def test_a_longer_training_goes_on_through_the_notebook_s_run(tmp_path, capsys):
    pictures = torch.randint(0, 256, (64, 3, 32, 32), dtype=torch.uint8)

    def trained(images):
        own = course.set_up(d_conv_dim=8, g_conv_dim=8, device=torch.device("cpu"),
                            Discriminator=best.augmented(Discriminator))
        falling = best.Falling(course.steps_for(own, pictures, images), own.d_optimizer, own.g_optimizer)
        course.fit(own, pictures, images, tmp_path, parts=course.parts_of(own) | {"rates": falling})
        return own

    own = trained(5 * 64)  # 5 epochs of 2 batches
    assert own.D.seen == 5 * 3 * 64 and own.d_optimizer.param_groups[0]["lr"] == 0
    capsys.readouterr()
    own = trained(8 * 64)
    said = capsys.readouterr().out
    assert said.count("The learning rate was 0 after 10 of 10 steps. With 16 steps it goes on at 0.000375, and falls") == 1
    assert own.D.seen == 8 * 3 * 64 and own.g_optimizer.param_groups[0]["lr"] == 0
