"""How to train a GAN? Tips and tricks to make GANs work. Chintala, Denton, Arjovsky and Mathieu, 2016.

https://github.com/soumith/ganhacks

    python -m further.hints                                            every hint, a short training for each
    python -m further.hints --only 2 9 13                              some of them, by their numbers
    python -m further.hints FOLDER --images 65538 --seeds 0 1 --folder results/hints    on photographs, kept

The idea: seventeen hints that many took over, most of them without a measurement. Here each is switched in the notebook's
recipe, alone: left out where the notebook follows it, followed where it does not. Then both are trained on equally many
images, and their faces are compared. Three hints have no switch; the table says why.

What differs from the notebook: in each training one thing, a few lines. They can be read one by one.

Traps:
- "better" and "worse" are said of the faces of the training in that row, beside the notebook's. Where a hint was left out,
  "worse" speaks for it. They are said only if all its seeds lie beyond all the notebook's. With two seeds each, a hint that
  changes nothing still comes out as one of the two once in three times, with three seeds once in ten.
- 6: cross-entropy is linear in the label. Labels between 0.7 and 1.2 therefore have the mean gradient of the label 0.95,
  and with one in twenty flipped that of 0.9, the notebook's; only noise is new. The source softens the labels of fakes too.
  That is left out: then the best D no longer rests where there are fakes alone (Salimans et al., 2016, section 3.4).
  Flipping does a little of it, 0.05.
- 4: the one batch of real and generated pictures is D's step's. In G's step D still sees fakes alone, as is usual where
  this hint is not followed; BatchNorm then meets other statistics than those that D was trained with.
- 9 and 11 have numbers that the hints do not give: a learning rate, two bounds of losses. Others may do better.
- A hint for the stability of a long training need not show in a short one, nor beside the other hints of this recipe.

Measured:
MEASURED
"""

import math
import textwrap
from functools import partial
from typing import NamedTuple

import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from torch import nn

import helper
from common import FaceError
from further import beside, course

MEASURES = ("sliced Wasserstein x 1000", "Fréchet, face embedding")  # of those of beside.distances
SHOWN = 24  # faces of each training in the picture


class Hint(NamedTuple):
    """A hint. words: what it says; notebook: does the notebook do it? training: what is trained here, or why nothing is.

    system: function that makes the beside.System of that training; None where there is none.
    """

    number: int
    words: str
    notebook: str
    training: str
    system: object = None


class Trained(NamedTuple):
    """One training, done: its first faces, uint8 (SHOWN, 3, S, S), and its distance by each of MEASURES."""

    faces: torch.Tensor
    distances: list


# --- How a switch is built in -----------------------------------------------------------------------------------------


def with_steps(steps):
    """The System of the notebook's networks with other steps; steps: function of own that returns (D's, G's)."""
    own = course.set_up()
    own.discriminator_step, own.generator_step = steps(own)
    return beside.System(own)


def with_networks(**changes):
    """The System of changed networks: with_networks(Discriminator=function of the notebook's class that returns another)."""
    own = course.load()
    return beside.System(course.set_up(**{name: change(getattr(own, name)) for name, change in changes.items()}))


def move(loss, network, optimizer):
    """Take one step of one network; returns the loss without its graph."""
    optimizer.zero_grad()
    loss.backward(inputs=list(network.parameters()))
    optimizer.step()
    return loss.detach()


def add_behind(layers, kind, make, most=math.inf):
    """The layers as a new nn.Sequential, with make() behind each one of a kind, or behind the first `most` of them."""
    new, count = [], 0
    for layer in layers:
        new.append(layer)
        if isinstance(layer, kind) and count < most:
            new.append(make())
            count += 1
    return nn.Sequential(*new)


# --- The switches, by the hints' numbers ------------------------------------------------------------------------------


def pixels_from_0(Discriminator):
    """1, left out: D sees pixels in [0, 1]. As (tanh(x) + 1) / 2 is sigmoid(2 x), to D this G ends in a sigmoid."""

    class PixelsFrom0(Discriminator):
        def forward(self, x):
            return super().forward((x + 1) / 2)

    return PixelsFrom0


def saturating(own):
    """2, left out: G makes E[log(1 - sigmoid(D(G(z))))] smaller, which is -fake_loss."""

    def generator_step(D, G, batch_size, g_optimizer, fake_images):
        return move(-own.fake_loss(D(fake_images)), G, g_optimizer)

    return own.discriminator_step, generator_step


def cube_z(count, z_size, device):
    """3, left out: z (count, z_size) from the cube [-1, 1]^z_size. (G's first BatchNorm undoes that its numbers are smaller.)"""
    return 2 * torch.rand(count, z_size, device=device) - 1


def one_batch(own):
    """4, left out: in D's step, real and generated pictures are one batch to BatchNorm."""

    def discriminator_step(D, G, real_images, d_optimizer, fake_images):
        real, fake = D(torch.cat([own.scale(real_images), fake_images.detach()])).chunk(2)
        return move(own.real_loss(real) + own.fake_loss(fake), D, d_optimizer)

    return discriminator_step, own.generator_step


def relu_in_d(Discriminator):
    """5, left out: ReLU in D as well, so that no gradient passes where an activation is below 0."""

    class ReLUInD(Discriminator):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self.layers = nn.Sequential(*(nn.ReLU() if isinstance(layer, nn.LeakyReLU) else layer for layer in self.layers))

    return ReLUInD


def noisy_labels(like, real, flipped=0.05):
    """Labels shaped as `like`: between 0.7 and 1.2 for real pictures, 0 for generated ones; a share of them the other's."""
    soft = torch.empty_like(like).uniform_(0.7, 1.2)
    return soft * ((torch.rand_like(like) < flipped) != real)


def soft_and_noisy(own):
    """6, followed: D's labels are noisy_labels. G's label stays the notebook's."""

    def discriminator_step(D, G, real_images, d_optimizer, fake_images):
        real, fake = D(own.scale(real_images)), D(fake_images.detach())
        loss = (F.binary_cross_entropy_with_logits(real, noisy_labels(real, True))
                + F.binary_cross_entropy_with_logits(fake, noisy_labels(fake, False)))
        return move(loss, D, d_optimizer)

    return discriminator_step, own.generator_step


def connected_d(Discriminator):
    """7, left out: D of fully connected layers, as in the first GAN (Goodfellow et al., 2014)."""

    class ConnectedD(Discriminator):
        def __init__(self, conv_dim, image_size=32):
            super().__init__(conv_dim, image_size)
            width = 8 * conv_dim  # 512
            self.layers = nn.Sequential(
                nn.Flatten(), nn.Linear(3 * image_size**2, width), nn.LeakyReLU(0.2),  # 3072, then 512
                nn.Linear(width, width), nn.LeakyReLU(0.2), nn.Dropout(0.1), nn.Linear(width, 1))

    return ConnectedD


def connected_g(Generator):
    """7, left out: G of fully connected layers, with the notebook's BatchNorm and ReLU."""

    class ConnectedG(Generator):
        def __init__(self, z_size, conv_dim, image_size=32):
            super().__init__(z_size, conv_dim, image_size)
            width = 8 * conv_dim  # 512
            self.layers = nn.Sequential(
                nn.Flatten(), nn.Linear(z_size, width, bias=False), nn.BatchNorm1d(width), nn.ReLU(),
                nn.Linear(width, width, bias=False), nn.BatchNorm1d(width), nn.ReLU(),
                nn.Linear(width, 3 * image_size**2), nn.Tanh(), nn.Unflatten(1, (3, image_size, image_size)))

    return ConnectedG


def replay(size=1000):
    """8, followed: half of the fakes in D's step are former ones, out of a store; as many new ones take their places.

    The store begins with what the untrained G makes. It is kept in checkpoints.
    """
    own = course.set_up()
    store = nn.Module()
    store.register_buffer("fakes", helper.generate(own.G, own.random_z(size, own.z_size, own.device)).to(own.device))
    step = own.discriminator_step

    def discriminator_step(D, G, real_images, d_optimizer, fake_images):
        half = len(fake_images) // 2
        places = torch.randperm(size, device=fake_images.device)[:half]
        former = store.fakes[places]
        store.fakes[places] = fake_images[:half].detach().float()
        return step(D, G, real_images, d_optimizer, torch.cat([fake_images[half:], former]))

    own.discriminator_step = discriminator_step
    return beside.System(own, parts=course.parts_of(own) | {"store": store})


def sgd_for_d(rate=0.01, momentum=0.9):
    """9, followed: D's optimizer is SGD."""
    own = course.set_up()
    own.d_optimizer = torch.optim.SGD(own.D.parameters(), rate, momentum)
    return beside.System(own)


def balanced(own, d_bound=0.8, g_bound=1.0):
    """11, left out: D takes a step only while its loss is above a bound, and so does G."""

    def discriminator_step(D, G, real_images, d_optimizer, fake_images):
        loss = own.real_loss(D(own.scale(real_images))) + own.fake_loss(D(fake_images.detach()))
        return move(loss, D, d_optimizer) if loss > d_bound else loss.detach()

    def generator_step(D, G, batch_size, g_optimizer, fake_images):
        loss = own.real_loss(D(fake_images))
        return move(loss, G, g_optimizer) if loss > g_bound else loss.detach()

    return discriminator_step, generator_step


class Noise(nn.Module):
    """Adds normal noise in training mode. size: function that returns its standard deviation now.

    It is a function because copies of a network share it: the average of G copies G before training.
    """

    def __init__(self, size):
        super().__init__()
        self.size = size

    def forward(self, x):
        return x + self.size() * torch.randn_like(x) if self.training else x


def with_noise(first=0.1):
    """13, followed: noise on what D sees and behind each activation of G, from `first` evenly down to 0 in the last epoch."""
    runs = []

    def size():
        return first * max(0, 1 - runs[-1].epoch / max(1, runs[-1].total - 1)) if runs else first

    def noisy_d(Discriminator):
        class NoisyD(Discriminator):
            def __init__(self, *args, **kwargs):
                super().__init__(*args, **kwargs)
                self.layers = nn.Sequential(Noise(size), *self.layers)

        return NoisyD

    def noisy_g(Generator):
        class NoisyG(Generator):
            def __init__(self, *args, **kwargs):
                super().__init__(*args, **kwargs)
                self.layers = add_behind(self.layers, nn.ReLU, partial(Noise, size))

        return NoisyG

    def loop(run, loader):
        runs.append(run)
        own.train(own.D, own.G, own.G_average, loader, own.d_optimizer, own.g_optimizer, own.discriminator_step,
                  own.generator_step, run)

    system = with_networks(Discriminator=noisy_d, Generator=noisy_g)
    own = system.own
    return system._replace(loop=loop)


def twice(own):
    """14, followed: two steps of D on each batch of photographs, the second with new fakes."""

    def discriminator_step(D, G, real_images, d_optimizer, fake_images):
        own_step(D, G, real_images, d_optimizer, fake_images)
        return own_step(D, G, real_images, d_optimizer)

    own_step = own.discriminator_step
    return discriminator_step, own.generator_step


class Spread(nn.Module):
    """Adds a channel that says how much the batch varies: the standard deviation of each feature, their mean in all places.

    x (B, C, H, W) -> (B, C + 1, H, W).
    """

    def forward(self, x):
        spread = (x.var(0, correction=0) + 1e-8).sqrt().mean()  # a root has no gradient at 0
        return torch.cat([x, spread.expand(len(x), 1, *x.shape[2:])], 1)


def with_spread(Discriminator):
    """15, followed: Spread before D's last convolution (Karras et al., 2018, section 3)."""

    class WithSpread(Discriminator):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            *layers, last = self.layers
            self.layers = nn.Sequential(*layers, Spread(), nn.Conv2d(last.in_channels + 1, 1, 4))

    return WithSpread


class AlwaysDropout(nn.Dropout):
    """Dropout in evaluation mode too."""

    def forward(self, x):
        return F.dropout(x, self.p)


def with_dropout(Generator):
    """17, followed: dropout of one half behind the first three activations of G, also when faces are made."""

    class WithDropout(Generator):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self.layers = add_behind(self.layers, nn.ReLU, partial(AlwaysDropout, 0.5), most=3)

    return WithDropout


BASE = Hint(0, "the notebook's recipe", "", "", beside.notebook)
HINTS = (
    Hint(1, "pictures in [-1, 1], and tanh at the end of G", "yes",
         "left out: D sees pixels in [0, 1]", partial(with_networks, Discriminator=pixels_from_0)),
    Hint(2, "G makes log D larger, not log(1 - D) smaller", "yes",
         "left out: G makes log(1 - D) smaller", partial(with_steps, saturating)),
    Hint(3, "z from a normal distribution, not from a cube; walks between two z along an arc", "yes",
         "left out: z from the cube [-1, 1]", lambda: beside.System(course.set_up(random_z=cube_z))),
    Hint(4, "batches for D that are all real or all generated; where BatchNorm does not fit, instance normalisation", "yes",
         "left out: both in one batch in D's step", partial(with_steps, one_batch)),
    Hint(5, "no sparse gradients: leaky ReLU in both networks, strides in place of max pooling", "partly: ReLU in G",
         "left out: ReLU in D too", partial(with_networks, Discriminator=relu_in_d)),
    Hint(6, "random labels near 1 and 0 for D, and now and then a wrong one", "partly: 0.9 for real pictures",
         "followed: 0.7 to 1.2 for real pictures, one label in twenty flipped", partial(with_steps, soft_and_noisy)),
    Hint(7, "the networks of DCGAN; if none is stable, a mixture with a VAE or with a KL term", "yes",
         "left out: fully connected layers", partial(with_networks, Discriminator=connected_d, Generator=connected_g)),
    Hint(8, "tricks from reinforcement learning: show D former fakes, bring back former copies of G and D", "no",
         "followed: half of D's fakes are former ones", replay),
    Hint(9, "Adam for G, SGD for D", "partly: Adam for both",
         "followed: SGD for D", sgd_for_d),
    Hint(10, "look for failure early: D's loss at 0, gradients longer than 100, a loss of G that only falls",
         "partly: losses and faces, not gradients",
         "cannot be measured here because to watch a training does not change its faces"),
    Hint(11, "no schedule that trains D or G by what the losses are", "yes",
         "left out: D and G step only while their loss is above a bound", partial(with_steps, balanced)),
    Hint(12, "where there are labels, D learns to tell the classes too", "no",
         "cannot be measured here because a folder of faces has no classes; biggan.py has them"),
    Hint(13, "noise on what D sees, which fades, and noise in the layers of G", "no",
         "followed: noise of 0.1, which falls to 0", with_noise),
    Hint(14, "more steps of D than of G, above all where there is noise", "no",
         "followed: two steps of D for one of G", partial(with_steps, twice)),
    Hint(15, "D compares the pictures of a batch", "no",
         "followed: D sees how much a batch varies (improved.py has the paper's own layer)",
         partial(with_networks, Discriminator=with_spread)),
    Hint(16, "a class goes through a short embedding, and joins the picture as channels", "no",
         "cannot be measured here because a folder of faces has no classes; biggan.py has them"),
    Hint(17, "dropout of one half in G, in training and afterwards", "no",
         "followed: behind the first three activations", partial(with_networks, Generator=with_dropout)),
)


# --- Measured ---------------------------------------------------------------------------------------------------------


def chosen(numbers):
    """The hints of these numbers, a list; None: all. Raises: FaceError for a number that no hint has."""
    for number in numbers or []:
        if not 1 <= number <= len(HINTS):
            raise FaceError(f"--only {number}: the hints have the numbers 1 to {len(HINTS)}.")
    return [hint for hint in HINTS if numbers is None or hint.number in numbers]


def verdict(base, found):
    """Are the distances `found`, one for each seed, smaller or larger than all of base? Both lists of float."""
    if len(base) < 2 or len(found) < 2 or not all(map(math.isfinite, [*base, *found])):
        return ""
    if max(found) < min(base):
        return "better"
    return "worse" if min(found) > max(base) else "not told apart"


def distances(faces, data):
    """How far faces, uint8 (N, 3, S, S), are from those kept out, by each of MEASURES: list of float."""
    found = beside.distances(faces, data.reals)
    return [found[name] for name in MEASURES]


def table(hints, trained, floor):
    """Markdown: a row for each hint. trained: {number of a hint, 0 for the notebook's: list of Trained}; floor: distances."""

    def figures(rows):
        return ["; ".join(f"{value:{beside.FORMATS[name]}}" for value in column)
                for name, column in zip(MEASURES, zip(*rows, strict=True), strict=True)]

    base = [one.distances for one in trained[0]]
    lines = [["", "real faces", "", "", *figures([floor]), ""], ["", BASE.words, "", "", *figures(base), ""]]
    for hint in hints:
        rows = [one.distances for one in trained.get(hint.number, [])]
        verdicts = [verdict(*columns) for columns in zip(zip(*base, strict=True), zip(*rows, strict=True), strict=False)]
        lines.append([str(hint.number), hint.words, hint.notebook, hint.training, *(figures(rows) if rows else ["", ""]),
                      " / ".join(dict.fromkeys(filter(None, verdicts)))])
    return beside.markdown(["", "hint", "in the notebook", "here", *MEASURES, "the faces are"], lines)


def draw(hints, trained):
    """A Figure: a panel of faces of the notebook's recipe and one for each hint, those of the first seed."""
    shown = [hint for hint in (BASE, *hints) if hint.number in trained]
    columns = min(5, len(shown))
    lines = math.ceil(len(shown) / columns)
    figure = Figure(figsize=(2.2 * columns, 1.9 * lines), dpi=100, layout="constrained")
    axes = figure.subplots(lines, columns, squeeze=False).flatten()
    for axis in axes:
        axis.axis("off")
    for axis, hint in zip(axes, shown, strict=False):
        axis.imshow(beside.grid(trained[hint.number][0].faces, 6))
        title = f"{hint.number}, {hint.training}" if hint.number else hint.words
        axis.set_title(textwrap.fill(title, 36), fontsize=7)
    return figure


def measure(given):
    hints, data = chosen(given.only), beside.faces(given)
    floor, trained = distances(data.photographs[: len(data.reals)], data), {}
    for hint in (BASE, *hints):
        for seed in given.seeds if hint.system else ():
            print(f"\n{hint.number or ''} {hint.training or hint.words}, seed {seed}".lstrip(" "), flush=True)
            torch.manual_seed(seed)
            system = hint.system()
            beside.train(system, data.photographs, given.images, beside.kept(given, f"hint {hint.number}, seed {seed}"))
            faces = beside.made(system, len(data.reals))
            trained.setdefault(hint.number, []).append(Trained(faces[:SHOWN], distances(faces, data)))
            text = table(hints, trained, floor)
            print(f"\n{text}", flush=True)
    return text, draw(hints, trained)


if __name__ == "__main__":
    only = {"type": int, "nargs": "+", "metavar": "NUMBER", "help": "of the hints to train, 1 to 17 (default: all)"}
    beside.main("hints", __doc__, measure, images=10_000, options={"--only": only})
