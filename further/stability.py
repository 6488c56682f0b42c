"""Which training methods for GANs do actually converge? Mescheder, Geiger and Nowozin, 2018.

https://arxiv.org/abs/1801.04406

    python -m further.stability                     the smallest GAN there is, then R1 on faces
    python -m further.stability FOLDER --seeds 0 1  on photographs

The idea: the paper takes a GAN with one number on each side (dirac.py), so small that its training is a path in a plane.
With the standard loss the path goes round the equilibrium for ever; so it does with WGAN and WGAN-GP. What leads there is
a penalty on D's slope at real pictures, R1: when all generated pictures are right, D has no reason to slope any more, and
where D does not slope G stays.

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
from functools import partial

import torch

from further import beside, dirac, losses

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
    """A Figure: the Dirac-GAN with each way, and below them the first faces of each system."""
    figure = beside.sheet(9, 9, dpi=90)
    axes = figure.subplots(3, 3).flatten()
    dirac.draw(axes[:6])
    for axis, (name, faces) in zip(axes[6:], beside.first(judged).items(), strict=True):
        beside.show(axis, faces[:36], 6, name, fontsize=10)
    return figure


def measure(given):
    data = beside.faces(given)
    judged = beside.compare(SYSTEMS, data, given)
    slope = {"norm of D's gradient": lambda one: f"{slope_at(one.system.own.D, data.reals):.3f}"}
    return f"{dirac.table()}\n\n{beside.table(judged, data, **slope)}", draw(judged)


if __name__ == "__main__":
    beside.main("stability", __doc__, measure, images=30_000)
