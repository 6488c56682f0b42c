"""A loss that says how good the faces are: Wasserstein GAN, Arjovsky, Chintala and Bottou, 2017.

https://arxiv.org/abs/1701.07875; with a gradient penalty, Gulrajani et al., 2017, https://arxiv.org/abs/1704.00028.

    python -m further.wasserstein                     the notebook's recipe, WGAN, WGAN-GP
    python -m further.wasserstein FOLDER --seeds 0 1  on photographs

The idea: the notebook's D says how probably a picture is real. When it tells all apart, its loss is flat and says nothing
of how far the faces still have to go. The critic of a WGAN gives any number, but its slope is bounded. The greatest
gap that it can open between real and generated pictures is then the Wasserstein distance of the two, which falls as
they come nearer. The first paper bounds the slope by clipping all weights, the second by a penalty that draws it to 1.

What differs from the notebook: both losses, the critic's extra steps, the optimizers, and in D the BatchNorm, which goes:
through it a picture's slope would depend on the rest of its batch, and the penalty is on each picture's own. The layers
that lose it get a bias, which they had none of because BatchNorm has one. The first paper keeps it; here both critics
are the same network. Traps:
- The gap has a meaning only where the critic keeps up with G. So it takes five steps, each on new pictures, before G
  takes one. In the same time G takes fewer steps than the notebook's: rates count twice as much.
- The penalty is computed in float32: its square of a difference of nearly equal numbers is lost in bfloat16.
- Fakes reach the critic's step without their graph. With it the penalty's second backward would run through G too.
- A norm at zero has no gradient, therefore 1e-12 under the root.
- The unit of the gap is the critic's: it can be compared within one training, not between two.

Measured: the rank correlation over 16 moments of a training; 1: where one is higher, the other is too; 0: no relation.
Faces get better in most trainings, so that the mere number of images seen has one of nearly -1: the table shows it too.
MEASURED
"""

from functools import partial

import torch
from matplotlib.figure import Figure
from torch import nn

import helper
from common import FaceError
from further import beside, course
from further.stability import squared_slope
from measures.needs import Missing

CRITIC_STEPS = 5  # n_critic in both papers
CHECKPOINTS, LEAST = 16, 12  # moments of a training at which the faces are judged, and how many there must be
FACES = 200  # judged at each

# --- Wasserstein GAN ------------------------------------------------------------------------------------------------


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
    """What formula (3) takes the greatest of: E[f(x)] - E[f(g(z))], pictures (B, C, S, S) each; a scalar tensor."""
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


def move(loss, network, optimizer):
    optimizer.zero_grad()
    loss.backward(inputs=list(network.parameters()))
    optimizer.step()


def clipping_step(own, x):
    """Algorithm 1, lines 3 to 7: one step of the critic with pictures x (B, C, S, S) in [-1, 1]. Returns: what to record."""
    found = gap(own.D, x, fakes_of(own, len(x)))
    move(-found, own.D, own.d_optimizer)
    return {"gap": found, "at_border": clip(own.D)}


def generator_step(own, count):
    """Lines 9 to 11: G makes the gap smaller. Its first half, E[f(x)], does not depend on G."""
    loss = -own.D(own.G(own.random_z(count, own.z_size, own.device))).mean()
    move(loss, own.G, own.g_optimizer)


def algorithm(own, critic_step):
    """Algorithm 1 of both papers, as `course.fit` takes it: one step of G after every CRITIC_STEPS of the critic's."""

    def loop(run, loader):
        own.D.train(), own.G.train()
        with run:
            for _epoch in run.epochs():
                for real_images, _ in run.batches(loader):
                    x = own.scale(own.mirror_half(real_images.to(own.device, non_blocking=True)))
                    with helper.fast_math(own.device):
                        told = critic_step(own, x)
                        if run.step % CRITIC_STEPS == CRITIC_STEPS - 1:
                            generator_step(own, len(x))
                            own.G_average.update_parameters(own.G)
                    run.record(**told)

    return loop


# --- The gradient penalty ---------------------------------------------------------------------------------------------


def penalty(D, x, fakes):
    """Of formula (3): E[(|grad D(x_hat)| - 1)^2] at x_hat = eps * x + (1 - eps) * fakes, eps drawn for each picture.

    x, fakes: (B, C, S, S). Returns: a scalar tensor with a graph, float32 whatever autocast the rest runs in.
    """
    eps = torch.rand(len(x), 1, 1, 1, device=x.device)
    with torch.autocast(x.device.type, enabled=False):
        _, squared = squared_slope(D, eps * x.float() + (1 - eps) * fakes.float())
        return ((squared + 1e-12).sqrt() - 1).square().mean()


def penalty_step(own, x, weight=10):
    """Algorithm 1, lines 4 to 9: one step of the critic with pictures x (B, C, S, S) in [-1, 1]. Returns: what to record."""
    fakes = fakes_of(own, len(x))
    found, cost = gap(own.D, x, fakes), penalty(own.D, x, fakes)
    move(weight * cost - found, own.D, own.d_optimizer)
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
        signs.append("nearly all of the critic's weights lie at the border: it has become too simple a function; lower its "
                     "rate, or raise c")
    return signs + helper.signs_of_trouble(history, snapshots, seen)


# --- The systems ------------------------------------------------------------------------------------------------------


def watched(own):
    """A `sample` of FACES faces, by which the training is judged afterwards. All trainings have the same z."""
    z = torch.randn(FACES, own.z_size, generator=torch.Generator().manual_seed(0))
    return helper.FixedFaces(own.G_average, z.to(own.device))


def notebook():
    own = course.set_up()
    return beside.System(own, sample=watched(own))


def with_critic(critic_step, optimizer):
    """The System of the notebook's networks, but with a critic; optimizer: function of parameters that makes one."""
    own = course.set_up(Discriminator=without_norm(course.load().Discriminator))
    own.d_optimizer, own.g_optimizer = optimizer(own.D.parameters()), optimizer(own.G.parameters())
    return beside.System(own, loop=algorithm(own, critic_step), sample=watched(own), trouble=trouble)


SYSTEMS = {
    "WGAN, clipped": partial(with_critic, clipping_step, partial(torch.optim.RMSprop, lr=5e-5)),
    "WGAN-GP": partial(with_critic, penalty_step, partial(torch.optim.Adam, lr=1e-4, betas=(0.0, 0.9))),
}

# --- Does the loss follow the distance? -------------------------------------------------------------------------------


def ranks(values):
    """The place of each value in their order, from 1 on; equal ones share the mean of their places. Both (N,)."""
    values = torch.as_tensor(values, dtype=torch.float64)
    return (values[:, None] > values).sum(1) + ((values[:, None] == values).sum(1) + 1) / 2


def spearman(a, b):
    """Rank correlation of two lists of numbers, in [-1, 1]; nan where all of one are equal."""
    return torch.corrcoef(torch.stack([ranks(a), ranks(b)]))[0, 1].item()


def checkpoints(run):
    """Indices into run.seen, CHECKPOINTS at most, evenly over the training, of those with an entry in its history."""
    known = [index for index, images in enumerate(run.seen) if images in run.history["images"]]
    wanted = [run.images * (number + 1) / CHECKPOINTS for number in range(CHECKPOINTS)]
    return sorted({min(known, key=lambda index: abs(run.seen[index] - images)) for images in wanted})


def smoothed(run, name):
    """At each checkpoint the mean of history[name] over the batches around it, half way to the next: list of float."""
    reach, means = run.images / CHECKPOINTS / 2, []
    noted = list(zip(run.history["images"], run.history[name], strict=True))
    for index in checkpoints(run):
        near = [value for images, value in noted if abs(images - run.seen[index]) <= reach]
        means.append(sum(near) / len(near))
    return means


def distances(run, reals):
    """How far the faces at each checkpoint are from `reals`, uint8 (N, 3, S, S): {heading: list of float}.

    Headings are those of beside.distances. Without the face embedding's package the Fréchet distance is left out.
    """
    sets, reals = [run.snapshots[index] for index in checkpoints(run)], reals[:FACES]
    sets = [faces[: len(reals)] for faces in sets]
    found = {"sliced Wasserstein x 1000": [
        helper.sliced_wasserstein(faces / 255, reals / 255, generator=torch.Generator().manual_seed(0))["mean"]
        for faces in sets]}
    from measures.embedding import face_embedding, feature_distances, features  # torchmetrics takes seconds to import

    try:
        real = features(face_embedding(), reals)
        return {"Fréchet, face embedding": [feature_distances(features(face_embedding(), faces), real)[0]
                                            for faces in sets], **found}
    except Missing:
        return found


def signals(run):
    """What a reader might go by, each with an entry for each checkpoint: {"gap": list of float, "images seen": ...}."""
    names = [name for name in ("gap", "d_loss", "g_loss") if name in run.history]
    return {**{name: smoothed(run, name) for name in names}, "images seen": [run.seen[i] for i in checkpoints(run)]}


NAMES = {"d_loss": "D loss", "g_loss": "G loss"}


def correlations(judged, looked):
    """Markdown: for each training the rank correlation of each signal with each distance, of `looked`, which goes along."""
    rows = []
    for one, found in zip(judged, looked, strict=True):
        for name, values in signals(one.run).items():
            rows.append([one.name, str(one.seed), NAMES.get(name, name), str(len(values)),
                         *(f"{spearman(values, distance):+.2f}" for distance in found.values())])
    return beside.markdown(["rank correlation", "seed", "of", "checkpoints", *(f"with {name}" for name in looked[0])], rows)


def draw(judged, looked):
    """A Figure: for each system, in its first training, its losses against the first of the distances, and its faces."""
    first = {one.name: (one, found) for one, found in zip(reversed(judged), reversed(looked), strict=True)}
    figure = Figure(figsize=(10, 6), dpi=90, layout="constrained")
    above, below = figure.subplots(2, len(first))
    for upper, lower, (one, found) in zip(above, below, reversed(first.values()), strict=True):
        heading, distance = next(iter(found.items()))
        for name, values in signals(one.run).items():
            if name != "images seen":
                label = f"{NAMES.get(name, name)}: {spearman(values, distance):+.2f}"
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
    looked = [distances(one.run, data.reals) for one in judged]
    return f"{beside.table(judged, data)}\n\n{correlations(judged, looked)}", draw(judged, looked)


if __name__ == "__main__":
    beside.main("wasserstein", __doc__, measure, images=50_000)
