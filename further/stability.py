"""Which training methods for GANs do actually converge? Mescheder, Geiger and Nowozin, 2018.

https://arxiv.org/abs/1801.04406

    python -m further.stability                     the smallest GAN there is, then R1 on faces
    python -m further.stability FOLDER --seeds 0 1  on photographs

The idea: the paper takes a GAN with one number on each side, so small that its training is a path in a plane. With the
standard loss the path goes round the equilibrium for ever; so it does with WGAN and WGAN-GP. What leads there is a penalty
on D's slope at real pictures, R1: when all generated pictures are right, D has no reason to slope any more, and where D
does not slope G stays.

What differs from the notebook: one term in D's loss, gamma / 2 * E[|grad D(x)|^2] at real pictures x. Its size is a trap:
- The half is the paper's. The authors' code leaves it out, so that its 10 is gamma = 20 here and in StyleGAN.
- The slope is by pixels in [-1, 1]. By pixels in [0, 1] it is twice as large: a quarter of gamma then means the same.
- |grad D(x)|^2 is the sum over all 3 * S * S values of a picture. With their mean the penalty would be 3,072 times weaker
  at 32 x 32.
The notebook's D has BatchNorm, the paper's has none: through it a picture's slope depends a little on its batch.

Measured: after 500 steps from (1, 1), 1.41 away, the standard loss is as far from the equilibrium as before; the
non-saturating one 0.38, WGAN 0.29, WGAN-GP 0.42, R1 0.0005, instance noise less than 0.0001. On photographs, seeds 0 and 1,
some 140 seconds of one core each: gamma = 20 takes the norm of D's gradient from 2.2 and 2.1 to 0.05 and 0.06, and the faces
are worse, Fréchet 0.093 and 0.094 against 0.022 and 0.023. So short a training wants a weaker penalty: with gamma = 0.0064,
lazily, the norm is 1.9 and 1.8, and the faces are level, 0.023 and 0.021.
"""

import itertools
import math
from functools import partial

import numpy as np
import torch

from further import beside, losses

# --- Section 2: the Dirac-GAN. The data is the number 0, G makes the number theta, and D(x) = psi * x -----------------


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


def dirac_table():
    """Markdown: for each way its eigenvalues, and how far from (0, 0) it is after 500 steps."""
    rows = []
    for name, directions in WAYS.items():
        first = eigenvalues(directions)[0]
        both = "none: a jump at psi = 0" if directions is wgan_gp else f"{first.real + 0:.2f} ± {abs(first.imag):.2f} i"
        distance = path(name).norm(dim=1)
        last = distance[-100:]
        rows.append([name, both, f"{distance[-1]:.4f}", f"{last.min():.4f} to {last.max():.4f}"])
    return beside.markdown(["Dirac-GAN", "eigenvalues", "distance after 500 steps", "over the last 100"], rows)


# --- Section 4: R1 on faces -------------------------------------------------------------------------------------------


def squared_slope(D, x):
    """D's answers (B, 1) to pictures x (B, C, S, S), and |grad D(x)|^2 of each, (B,); both with a graph."""
    x = x.requires_grad_()
    D_out = D(x)
    slope, = torch.autograd.grad(D_out.sum(), x, create_graph=True)
    return D_out, slope.square().sum((1, 2, 3))


def r1(own, gamma, every=1):
    """The notebook's losses, and (9): R1 = gamma / 2 * E[|grad D(x)|^2] over real pictures is added to D's.

    every: take it at one step in so many, with so many times the weight, as StyleGAN2 does (Karras et al., 2020). There
    it is a step of its own, so that Adam's rate and betas are set for 17 steps in place of 16; here it joins one of the
    16, and both stay.
    Returns: discriminator_step, and own's generator_step.
    """
    steps = itertools.count()

    def discriminator_step(D, G, real_images, d_optimizer, fake_images):
        x, penalty = own.scale(real_images), 0
        if next(steps) % every == 0:
            D_out, squared = squared_slope(D, x)
            penalty = every * gamma / 2 * squared.mean()
        else:
            D_out = D(x)
        loss = own.real_loss(D_out) + own.fake_loss(D(fake_images.detach())) + penalty
        return losses.step(loss, D, d_optimizer)

    return discriminator_step, own.generator_step


def lazy_r1(own):
    """R1 every 16th step, gamma = 0.0002 * S^2 / B for B pictures of S x S (StyleGAN2-ADA's rule)."""
    return r1(own, 0.0002 * own.image_size**2 / own.batch_size, every=16)


SYSTEMS = {
    "R1, gamma 20": partial(beside.with_steps, partial(r1, gamma=20)),
    "R1, gamma 0.0064, lazy": partial(beside.with_steps, lazy_r1),  # what the rule makes of 32 x 32 and batches of 32
}


def slope_at(D, faces):
    """Mean of |grad D(x)| over faces x, uint8 (N, 3, S, S), for pixels in [-1, 1] and with D's running statistics."""
    D.eval()
    device = next(D.parameters()).device
    norms = [squared_slope(D, some.to(device) / 127.5 - 1)[1].detach().sqrt() for some in faces.split(100)]
    return torch.cat(norms).mean().item()


def draw(judged):
    """A Figure: directions and path of each way, and below them the first faces of each system."""
    figure = beside.sheet(9, 9, dpi=90)
    axes = figure.subplots(3, 3).flatten()
    grid = torch.linspace(-2, 2, 21, dtype=torch.float64)
    theta, psi = torch.meshgrid(grid, grid, indexing="xy")
    for axis, (name, directions) in zip(axes[:6], WAYS.items(), strict=True):
        steps = path(name)
        axis.streamplot(grid.numpy(), grid.numpy(), *(part.numpy() for part in directions(theta, psi)), color="0.75",
                        linewidth=0.7, density=0.8, arrowsize=0.7)
        axis.plot(*steps.T.numpy(), color="tab:blue", linewidth=1)
        axis.plot(*steps[0], "o", color="tab:blue", markersize=5)
        axis.plot(*steps[-1], "s", color="tab:red", markersize=5)
        axis.plot(0, 0, "+", color="black", markersize=10)
        axis.set(xlim=(-2, 2), ylim=(-2, 2), xlabel="theta (G)", ylabel="psi (D)", aspect="equal")
        axis.set_title(f"{name}: {steps[-1].norm():.2f} away", fontsize=10)
    for axis, (name, faces) in zip(axes[6:], beside.first(judged).items(), strict=True):
        beside.show(axis, faces[:36], 6, name, fontsize=10)
    return figure


def measure(given):
    data = beside.faces(given)
    judged = beside.compare(SYSTEMS, data, given)
    slope = {"norm of D's gradient": lambda one: f"{slope_at(one.system.own.D, data.reals):.3f}"}
    return f"{dirac_table()}\n\n{beside.table(judged, data, **slope)}", draw(judged)


if __name__ == "__main__":
    beside.main("stability", __doc__, measure, images=30_000)
