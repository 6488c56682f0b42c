"""A loss that says how good the faces are: Wasserstein GAN, Arjovsky, Chintala and Bottou, 2017.

https://arxiv.org/abs/1701.07875; with a gradient penalty, Gulrajani et al., 2017, https://arxiv.org/abs/1704.00028.

    python -m further.wasserstein                     the notebook's recipe, WGAN, WGAN-GP
    python -m further.wasserstein FOLDER --seeds 0 1  on photographs

The idea: the notebook's D says how probably a picture is real. Once it tells all apart, its loss is flat and says
nothing of how far the faces still have to go. The critic of a WGAN may give any number, but its slope is bounded. The
greatest gap that it can then open between real and generated pictures is their Wasserstein distance, up to a factor,
and falls as they come nearer. The first paper bounds the slope by clipping all weights, the second by a penalty that
draws it to 1.

What differs from the notebook: both losses; five steps of the critic, each on new pictures, before G takes one, because
the gap has a meaning only where the critic keeps up with G; the optimizers; and the critic has no BatchNorm, through
which a picture's slope would depend on the rest of its batch. The layers that lose it get a bias, which BatchNorm had
for them. (The first paper's critic still has it, and its code takes 100 steps of the critic now and then.) Traps:
- The penalty is computed in float32. It is about how far a number near 1 is from 1, and bfloat16 has two to three
  digits. A norm at zero has no gradient, therefore 1e-12 under the root.
- Fakes reach the critic's step without their graph. With it, the step would give G gradients too, of the wrong sign.
- The gap's unit is the critic's own: compare it within one training, not between two.
- The papers' rates, 0.00005 and 0.0001, are for hundreds of thousands of steps of G. In some minutes it takes a few
  hundred, five times fewer than there are batches. Here they are 0.0002 and 0.0004, the second as in the notebook.

Measured on photographs, two seeds, 95 seconds: the rank correlation of the gap with the Fréchet distance, over 16 moments of
a training, is 0.96 and 0.90 for WGAN-GP, 0.69 and 0.82 with clipping. But so it is, 0.95 and 0.97, for the loss of the
notebook's G, whose faces are nearer. README.md has the tables.
"""

from functools import partial

import torch
from torch import nn

import helper
from common import FaceError
from further import beside, course, follows, losses
from further.stability import squared_slope

CRITIC_STEPS = 5  # n_critic in both papers
LEAST = 12  # moments of a training that a rank correlation is taken over at least

# --- Wasserstein GAN --------------------------------------------------------------------------------------------------


def without_norm(Discriminator):
    """The class without BatchNorm. A layer that had no bias, because BatchNorm follows it, gets one."""

    class Critic(Discriminator):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            for layer, following in zip(self.layers[:-1], self.layers[1:], strict=True):
                if isinstance(following, nn.BatchNorm2d) and layer.bias is None:
                    layer.bias = nn.Parameter(torch.zeros(layer.out_channels))
            self.layers = nn.Sequential(*(layer for layer in self.layers if not isinstance(layer, nn.BatchNorm2d)))

    return Critic


def gap(D, x, fakes):
    """Section 3, what the critic makes as great as it can: E[f(x)] - E[f(g(z))], pictures (B, C, S, S); a scalar tensor."""
    return D(x).mean() - D(fakes).mean()


def clip(D, c=0.01):
    """Algorithm 1, line 7: bring every weight into [-c, c]. Returns: the share of them that lies at c or -c."""
    with torch.no_grad():
        for weight in D.parameters():
            weight.clamp_(-c, c)
        return torch.cat([(weight.abs() >= c).flatten() for weight in D.parameters()]).float().mean()


def fakes_of(own, count):
    """Generated pictures (count, C, S, S) in [-1, 1] without their graph: no gradient reaches G."""
    return own.G(own.random_z(count, own.z_size, own.device)).detach()


def clipping_step(own, x):
    """Algorithm 1, lines 3 to 7: the critic's step on x (B, C, S, S) in [-1, 1]. Returns: dict of what to record."""
    found = gap(own.D, x, fakes_of(own, len(x)))
    losses.step(-found, own.D, own.d_optimizer)
    return {"gap": found, "at_border": clip(own.D)}


def generator_step(own, count):
    """Lines 9 to 11: G makes the gap smaller. Its first half, E[f(x)], does not depend on G."""
    losses.step(-own.D(own.G(own.random_z(count, own.z_size, own.device))).mean(), own.G, own.g_optimizer)


def algorithm(own, critic_step):
    """Algorithm 1 of both papers, as `course.fit` takes it: one step of G after every CRITIC_STEPS of the critic's."""

    def step(run, real_images, _labels):
        x = own.scale(own.mirror_half(real_images.to(own.device, non_blocking=True)))
        with helper.fast_math(own.device):
            told = critic_step(own, x)
            if run.step % CRITIC_STEPS == CRITIC_STEPS - 1:
                generator_step(own, len(x))
                own.G_average.update_parameters(own.G)
        return told

    return course.loop_of(step)


# --- The gradient penalty ---------------------------------------------------------------------------------------------


def penalty(D, x, fakes):
    """Section 4: E[(|grad D(x_hat)| - 1)^2] at x_hat = eps * x + (1 - eps) * fakes, eps drawn for each picture.

    x, fakes: (B, C, S, S). Returns: a scalar tensor with a graph, float32 whatever autocast the rest runs in.
    """
    eps = torch.rand(len(x), 1, 1, 1, device=x.device)
    with torch.autocast(x.device.type, enabled=False):
        _, squared = squared_slope(D, eps * x.float() + (1 - eps) * fakes.float())
        return ((squared + 1e-12).sqrt() - 1).square().mean()


def penalty_step(own, x, weight=10):
    """The second paper's algorithm 1: the critic's step on x (B, C, S, S) in [-1, 1]. Returns: dict of what to record."""
    fakes = fakes_of(own, len(x))
    found, cost = gap(own.D, x, fakes), penalty(own.D, x, fakes)
    losses.step(weight * cost - found, own.D, own.d_optimizer)
    return {"gap": found, "penalty": cost}


# --- Signs of trouble -------------------------------------------------------------------------------------------------


def trouble(history, snapshots, seen):
    """The signs of a critic in trouble, and those that the notebook sees in faces, as `course.fit` takes them.

    history: dict of lists "images", "gap", and "at_border" where weights are clipped; judged over the last ten entries.
    A gap that is no number is not among them, because it ends the run.
    """
    signs, gaps, border = [], history.get("gap", []), history.get("at_border", [])
    if len(gaps) >= 10 and max(gaps[-10:]) < 0:
        signs.append("the gap is negative: the critic prefers generated faces; see to the signs in its loss")
    if len(gaps) >= 20 and min(gaps[-10:]) > 3 * max(gaps[:-10]) > 0:
        signs.append("the gap grows without bound: nothing holds the critic's slope, or G no longer follows; raise the "
                     "penalty's weight, or lower the rates")
    if len(border) >= 10 and min(border[-10:]) > 0.95:
        signs.append("nearly all of the critic's weights lie at the border: it has become too simple a function; lower "
                     "its rate, or raise c")
    return signs + helper.signs_of_trouble(history, snapshots, seen)


# --- The systems ------------------------------------------------------------------------------------------------------


def notebook():
    own = course.set_up()
    return beside.System(own, sample=follows.watched(own))


def with_critic(critic_step, optimizer):
    """The System of the notebook's networks, but with a critic; optimizer: function of parameters that makes one."""
    own = course.set_up(Discriminator=without_norm(course.load().Discriminator))
    own.d_optimizer, own.g_optimizer = optimizer(own.D.parameters()), optimizer(own.G.parameters())
    return beside.System(own, loop=algorithm(own, critic_step), sample=follows.watched(own), trouble=trouble)


SYSTEMS = {
    "WGAN, clipped": partial(with_critic, clipping_step, partial(torch.optim.RMSprop, lr=2e-4)),
    "WGAN-GP": partial(with_critic, penalty_step, partial(torch.optim.Adam, lr=4e-4, betas=(0.0, 0.9))),
}

# --- Does the loss follow the distance? -------------------------------------------------------------------------------


def draw(judged, looked):
    """A Figure: of each system's first training the losses against the first of the distances, and the faces."""
    count = 1 + len(SYSTEMS)
    figure = beside.sheet(10, 5.4, dpi=90)
    for column, (one, found) in enumerate(zip(judged[:count], looked, strict=False)):
        upper, lower = (figure.add_subplot(2, count, column + 1 + row * count) for row in range(2))
        heading, distance = next(iter(found.items()))
        for name, values in list(follows.signals(one.run).items())[:-1]:  # without the images seen
            label = f"{name}: {follows.spearman(values, distance):+.2f}"
            upper.plot(values, distance, "o-", markersize=4, linewidth=0.5, label=label)
        upper.set(title=one.name, xlabel="loss or gap", ylabel=heading)
        upper.legend(title="rank correlation", fontsize=8)
        lower.imshow(beside.grid(one.faces[:32], 8))
        lower.axis("off")
    return figure


def measure(given):
    if given.images < LEAST * beside.EPOCH:
        raise FaceError(f"--images is {given.images}: give {LEAST * beside.EPOCH:,} or more: a rank correlation over "
                        f"fewer than {LEAST} moments would say little.")
    data = beside.faces(given)
    judged = beside.compare(SYSTEMS, data, given, base=notebook)
    looked = [follows.distances(one.run, data.reals) for one in judged]
    return f"{beside.table(judged, data)}\n\n{follows.correlations(judged, looked)}", draw(judged, looked)


if __name__ == "__main__":
    beside.main("wasserstein", __doc__, measure, images=50_000)
