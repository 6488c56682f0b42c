"""further/stability.py: the Dirac-GAN does what the paper proves of it, and R1 costs what its formula says."""

import math

import pytest
import torch
from torch import nn

from further import beside, course, stability

NUMBERS = torch.tensor([[0.7, -1.3], [-0.4, 0.9], [1.6, 0.2]], dtype=torch.float64)


def f(t):
    return -torch.log1p(torch.exp(-t))


# --- The Dirac-GAN


@pytest.mark.parametrize("name, to_lessen, to_enlarge", [
    ("standard", lambda theta, psi: f(psi * theta), lambda theta, psi: f(psi * theta)),
    ("non-saturating", lambda theta, psi: -f(-psi * theta), lambda theta, psi: f(psi * theta)),
    ("WGAN", lambda theta, psi: psi * theta, lambda theta, psi: psi * theta),
    ("WGAN-GP", lambda theta, psi: psi * theta, lambda theta, psi: psi * theta - (psi.abs() - 0.3) ** 2 / 2),
    ("R1", lambda theta, psi: f(psi * theta), lambda theta, psi: f(psi * theta) - 0.3 / 2 * psi**2),
])
def test_directions_are_the_gradients_of_the_losses(name, to_lessen, to_enlarge):
    theta, psi = NUMBERS.clone().requires_grad_().unbind(1)
    wanted = (-torch.autograd.grad(to_lessen(theta, psi).sum(), theta, retain_graph=True)[0],
              torch.autograd.grad(to_enlarge(theta, psi).sum(), psi)[0])
    for found, expected in zip(stability.WAYS[name](theta, psi), wanted, strict=True):
        assert torch.allclose(found, expected)


def test_the_mean_over_instance_noise_is_that_of_many_samples():
    theta, psi = NUMBERS.unbind(1)
    noise = torch.randn(2, 400_000, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    theta_sample, psi_sample = theta[:, None].clone().requires_grad_(), psi[:, None].clone().requires_grad_()
    loss = (f(psi_sample * (theta_sample + noise[0])) + f(-psi_sample * noise[1])).mean(1).sum()
    to_theta, to_psi = torch.autograd.grad(loss, (theta_sample, psi_sample))
    found = stability.instance_noise(theta, psi)
    assert torch.allclose(found[0], -to_theta[:, 0], atol=0.005) and torch.allclose(found[1], to_psi[:, 0], atol=0.005)
    still = [part.tolist() for part in stability.instance_noise(theta, psi, sigma=0.0)]
    assert still == [pytest.approx(part.tolist()) for part in stability.standard(theta, psi)]


@pytest.mark.parametrize("name, real, imaginary", [
    ("standard", 0, 0.5),  # plus and minus f'(0) i
    ("non-saturating", 0, 0.5),
    ("WGAN", 0, 1),
    ("instance noise", -0.25, math.sqrt(0.25 - 0.25**2)),  # f''(0) s^2 +- sqrt(f''(0)^2 s^4 - f'(0)^2), s = 1
    ("R1", -0.15, math.sqrt(0.25 - 0.15**2)),  # -gamma / 2 +- sqrt(gamma^2 / 4 - f'(0)^2), gamma = 0.3
])
def test_eigenvalues_are_those_of_the_paper(name, real, imaginary):
    found = sorted(stability.eigenvalues(stability.WAYS[name]).tolist(), key=lambda value: value.imag)
    assert [value.real for value in found] == pytest.approx([real, real], abs=1e-9)
    assert [value.imag for value in found] == pytest.approx([-imaginary, imaginary])


def test_paths_end_where_the_paper_says():
    distances = {name: stability.path(name, steps=1500).norm(dim=1) for name in stability.WAYS}
    ranges = {name: [(part.min().item(), part.max().item()) for part in (distance[500:800], distance[-300:])]
              for name, distance in distances.items()}
    for name in ("standard", "WGAN", "WGAN-GP"):  # they go round: neither nearer nor further
        early, late = ranges[name]
        assert late[0] > 0.25 and late == pytest.approx(early, rel=0.02), name
    for name in ("instance noise", "R1"):
        assert distances[name][-1] < 1e-8, name
    early, late = ranges["non-saturating"]  # nearer, but slower and slower
    assert late[1] < early[0] and late[0] > 0.15


def test_psi_stays_where_it_is_clipped_to():
    steps = stability.path("WGAN", steps=100)
    assert steps.shape == (101, 2) and steps[0].tolist() == [1, 1] and steps[1:, 1].abs().max() <= 0.3


def test_the_table_has_a_distance_for_each_way():
    lines = stability.dirac_table().splitlines()[2:]
    assert [line.split(" | ")[0][2:] for line in lines] == list(stability.WAYS)
    assert "0.00 ± 0.50 i | 1.4" in lines[0] and "none" in lines[3]
    assert float(lines[5].split(" | ")[2]) == pytest.approx(math.exp(-0.15 * 0.1 * 500), abs=1e-3)


# --- R1


class Linear(nn.Module):
    """D(x) = <w, x>: its slope is w at every picture."""

    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.linspace(-0.2, 0.3, 3 * 8 * 8).view(3, 8, 8))

    def forward(self, x):
        return (self.w * x).sum((1, 2, 3))[:, None]


def test_the_squared_slope_of_a_linear_discriminator_is_its_weights_squared_norm():
    D, x = Linear(), torch.rand(5, 3, 8, 8)
    D_out, squared = stability.squared_slope(D, x)
    assert torch.equal(D_out, D(x)) and squared.tolist() == pytest.approx(5 * [D.w.square().sum().item()])
    faces = torch.randint(0, 256, (5, 3, 8, 8), dtype=torch.uint8)
    assert stability.slope_at(D, faces) == pytest.approx(D.w.norm().item())


def test_pixels_in_0_to_1_have_four_times_the_squared_slope():
    own, D = course.load(), Linear()
    _, squared = stability.squared_slope(lambda pixels: D(own.scale(pixels)), torch.rand(2, 3, 8, 8))
    assert squared[0].item() == pytest.approx(4 * D.w.square().sum().item())


@pytest.mark.parametrize("steps_of, gamma, every", [
    (lambda own: stability.r1(own, gamma=3), 3, 1),
    (stability.lazy_r1, 0.0002 * 8**2 / 4, 16),
])
def test_r1_adds_half_of_gamma_times_the_squared_slope(steps_of, gamma, every):
    own = course.load(image_size=8, batch_size=4)
    D, real, fake = Linear(), torch.rand(4, 3, 8, 8), torch.rand(4, 3, 8, 8) - 0.5
    still = torch.optim.SGD(D.parameters(), 0.0)
    steps = steps_of(own)
    found = [steps[0](D, None, real, still, fake).item() for _ in range(17)]
    plain = (own.real_loss(D(own.scale(real))) + own.fake_loss(D(fake))).item()
    cost = every * gamma / 2 * D.w.square().sum().item()
    assert found == pytest.approx([plain + cost * (step % every == 0) for step in range(17)])
    assert steps[1] is own.generator_step


def test_r1_moves_d_down_its_slope():
    own = course.load(real_loss=lambda D_out: 0 * D_out.sum(), fake_loss=lambda D_out: 0 * D_out.sum())
    D, real, fake = Linear(), torch.rand(2, 3, 8, 8), torch.rand(2, 3, 8, 8)
    before = D.w.detach().clone()
    stability.r1(own, gamma=3)[0](D, None, real, torch.optim.SGD(D.parameters(), 0.1), fake)
    assert torch.allclose(D.w, before - 0.1 * 3 * before)


# --- The program


def test_the_program_trains_each_system_and_draws(tmp_path, monkeypatch, capsys):
    pictures = torch.randint(0, 256, (120, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    set_up = course.set_up
    monkeypatch.setattr(course, "set_up", lambda: set_up(d_conv_dim=8, g_conv_dim=8, device=torch.device("cpu")))
    monkeypatch.setattr(beside, "load", lambda folder, size: pictures)
    monkeypatch.chdir(tmp_path)
    beside.main("stability", stability.__doc__, stability.measure, 96, arguments=["--seeds", "1"])
    told = capsys.readouterr().out
    rows = [line.split(" | ") for line in told.splitlines() if line.startswith("| ")]
    for name in (beside.NOTEBOOK, *stability.SYSTEMS):
        found = [row for row in rows if row[0] == f"| {name}"]
        assert [row[1] for row in found] == ["1"] and float(found[0][-1].strip(" |")) > 0
    assert all(f"| {name} | " in told for name in stability.WAYS) and "norm of D's gradient" in told
    assert (tmp_path / "results" / "further" / "stability.png").stat().st_size > 10_000


def test_too_few_faces_are_refused_in_one_line(monkeypatch):
    monkeypatch.setattr(beside, "load", lambda folder, size: torch.zeros(9, 3, 32, 32, dtype=torch.uint8))
    with pytest.raises(SystemExit, match=r"^further.stability: 9 faces are too few[^\n]*$"):
        beside.main("stability", stability.__doc__, stability.measure, 96, arguments=[])
