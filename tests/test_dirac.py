"""further/dirac.py: the smallest GAN does what the paper proves of it."""

import math

import pytest
import torch

from further import dirac

NUMBERS = torch.tensor([[0.7, -1.3], [-0.4, 0.9], [1.6, 0.2]], dtype=torch.float64)


def f(t):
    return -torch.log1p(torch.exp(-t))


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
    for found, expected in zip(dirac.WAYS[name](theta, psi), wanted, strict=True):
        assert torch.allclose(found, expected)


def test_the_mean_over_instance_noise_is_that_of_many_samples():
    theta, psi = NUMBERS.unbind(1)
    noise = torch.randn(2, 400_000, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    theta_sample, psi_sample = theta[:, None].clone().requires_grad_(), psi[:, None].clone().requires_grad_()
    loss = (f(psi_sample * (theta_sample + noise[0])) + f(-psi_sample * noise[1])).mean(1).sum()
    to_theta, to_psi = torch.autograd.grad(loss, (theta_sample, psi_sample))
    found = dirac.instance_noise(theta, psi)
    assert torch.allclose(found[0], -to_theta[:, 0], atol=0.005) and torch.allclose(found[1], to_psi[:, 0], atol=0.005)
    still = [part.tolist() for part in dirac.instance_noise(theta, psi, sigma=0.0)]
    assert still == [pytest.approx(part.tolist()) for part in dirac.standard(theta, psi)]


@pytest.mark.parametrize("name, real, imaginary", [
    ("standard", 0, 0.5),  # plus and minus f'(0) i
    ("non-saturating", 0, 0.5),
    ("WGAN", 0, 1),
    ("instance noise", -0.25, math.sqrt(0.25 - 0.25**2)),  # f''(0) s^2 +- sqrt(f''(0)^2 s^4 - f'(0)^2), s = 1
    ("R1", -0.15, math.sqrt(0.25 - 0.15**2)),  # -gamma / 2 +- sqrt(gamma^2 / 4 - f'(0)^2), gamma = 0.3
])
def test_eigenvalues_are_those_of_the_paper(name, real, imaginary):
    found = sorted(dirac.eigenvalues(dirac.WAYS[name]).tolist(), key=lambda value: value.imag)
    assert [value.real for value in found] == pytest.approx([real, real], abs=1e-9)
    assert [value.imag for value in found] == pytest.approx([-imaginary, imaginary])


def test_paths_end_where_the_paper_says():
    distances = {name: dirac.path(name, steps=1500).norm(dim=1) for name in dirac.WAYS}
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
    steps = dirac.path("WGAN", steps=100)
    assert steps.shape == (101, 2) and steps[0].tolist() == [1, 1] and steps[1:, 1].abs().max() <= 0.3


def test_the_table_has_a_distance_for_each_way():
    lines = dirac.table().splitlines()[2:]
    assert [line.split(" | ")[0][2:] for line in lines] == list(dirac.WAYS)
    assert "0.00 ± 0.50 i | 1.4" in lines[0] and "none" in lines[3]
    assert float(lines[5].split(" | ")[2]) == pytest.approx(math.exp(-0.15 * 0.1 * 500), abs=1e-3)
