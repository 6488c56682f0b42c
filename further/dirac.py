"""The Dirac-GAN (Mescheder, Geiger and Nowozin, 2018, https://arxiv.org/abs/1801.04406): the smallest GAN there is.

The data is the number 0, G makes the number theta, and D(x) = psi * x. So a training is a path in a plane, and its
equilibrium is (0, 0). stability.py, the paper's companion, shows six ways to train it; here they are, each as a function
that says where G and D go next. Nothing is trained on pictures here, and all of it is computed in a second.
"""

import math

import numpy as np
import torch

from further import beside

# --- Section 2: what is proven of the usual losses --------------------------------------------------------------------


def df(t):
    """f'(t) for the paper's f(t) = -log(1 + exp(-t))."""
    return torch.sigmoid(-t)


def standard(theta, psi):
    """The directions (G's, D's) for the Dirac-GAN's loss, L = f(psi * theta) + f(0), which G makes smaller and D larger.

    Here and below: theta, psi are float tensors of any one shape; so are the two that are returned.
    """
    return -psi * df(psi * theta), theta * df(psi * theta)


def non_saturating(theta, psi):
    """G makes f(-psi * theta) larger instead, as in the notebook."""
    return -psi * df(-psi * theta), theta * df(psi * theta)


# --- Section 3: what was proposed against it --------------------------------------------------------------------------


def wgan(theta, psi):
    """Section 3.1, L = psi * theta. That D must not be steep is seen to by clipping psi after each step."""
    return -psi, theta


def wgan_gp(theta, psi, gamma=1.0, slope=0.3):
    """WGAN with gamma / 2 * (|psi| - slope)^2 taken off: D's slope is drawn to a value that is not 0."""
    return -psi, theta - gamma * (psi.abs() - slope) * psi.sign()


def instance_noise(theta, psi, sigma=1.0):
    """Section 3.2: normal noise on real and made numbers. The mean over it is taken by Gauss-Hermite quadrature."""
    nodes, weights = (torch.from_numpy(part) for part in np.polynomial.hermite_e.hermegauss(30))
    noise, weights = sigma * nodes, weights / math.sqrt(2 * math.pi)
    theta, psi = theta[..., None], psi[..., None]
    to_theta = -psi * df(psi * (theta + noise))
    to_psi = (theta + noise) * df(psi * (theta + noise)) - noise * df(-psi * noise)
    return (to_theta * weights).sum(-1), (to_psi * weights).sum(-1)


def with_r1(theta, psi, gamma=0.3):
    """Section 3.3: D's slope is psi, everywhere, so that R1 takes gamma / 2 * psi^2 off."""
    to_theta, to_psi = standard(theta, psi)
    return to_theta, to_psi - gamma * psi


# --- The paths, and what they come to ---------------------------------------------------------------------------------

WAYS = {"standard": standard, "non-saturating": non_saturating, "WGAN": wgan, "WGAN-GP": wgan_gp,
        "instance noise": instance_noise, "R1": with_r1}
CLIP = {"WGAN": 0.3}  # greatest |psi|


def path(name, steps=500, rate=0.1):
    """Steps of D and G in turn, from (1, 1), as the notebook takes them (in the paper's code G goes first).

    Returns: float64 (steps + 1, 2), each row theta, psi.
    """
    theta, psi = torch.ones(2, dtype=torch.float64)
    limit, rows = CLIP.get(name, math.inf), [(theta, psi)]
    for _ in range(steps):
        psi = (psi + rate * WAYS[name](theta, psi)[1]).clamp(-limit, limit)
        theta = theta + rate * WAYS[name](theta, psi)[0]
        rows.append((theta, psi))
    return torch.tensor(rows, dtype=torch.float64)


def eigenvalues(directions):
    """Those of the directions' Jacobian at the equilibrium (0, 0), complex (2,): the lemmas of sections 2 and 3.

    Small steps draw near only if both have a negative real part. The Jacobian must exist: WGAN-GP's does not, at psi = 0.
    """
    at_zero = torch.zeros(2, dtype=torch.float64)
    return torch.linalg.eigvals(torch.autograd.functional.jacobian(lambda both: torch.stack(directions(*both)), at_zero))


def table():
    """Markdown: for each way its eigenvalues, and how far from (0, 0) it is after 500 steps."""
    rows = []
    for name, directions in WAYS.items():
        first = eigenvalues(directions)[0]
        both = "none: a jump at psi = 0" if directions is wgan_gp else f"{first.real + 0:.2f} ± {abs(first.imag):.2f} i"
        distance = path(name).norm(dim=1)
        last = distance[-100:]
        rows.append([name, both, f"{distance[-1]:.4f}", f"{last.min():.4f} to {last.max():.4f}"])
    return beside.markdown(["Dirac-GAN", "eigenvalues", "distance after 500 steps", "over the last 100"], rows)


def draw(axes):
    """Draw each way on its own axes: the directions from everywhere, and the path."""
    grid = torch.linspace(-2, 2, 21, dtype=torch.float64)
    theta, psi = torch.meshgrid(grid, grid, indexing="xy")
    for axis, (name, directions) in zip(axes, WAYS.items(), strict=True):
        steps = path(name)
        axis.streamplot(grid.numpy(), grid.numpy(), *(part.numpy() for part in directions(theta, psi)), color="0.75",
                        linewidth=0.7, density=0.8, arrowsize=0.7)
        axis.plot(*steps.T.numpy(), color="tab:blue", linewidth=1)
        axis.plot(*steps[0], "o", color="tab:blue", markersize=5)
        axis.plot(*steps[-1], "s", color="tab:red", markersize=5)
        axis.plot(0, 0, "+", color="black", markersize=10)
        axis.set(xlim=(-2, 2), ylim=(-2, 2), xlabel="theta (G)", ylabel="psi (D)", aspect="equal")
        axis.set_title(f"{name}: {steps[-1].norm():.2f} away", fontsize=10)
