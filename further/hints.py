"""How to train a GAN? Tips and tricks to make GANs work. Chintala, Denton, Arjovsky and Mathieu, 2016.

https://github.com/soumith/ganhacks

    python -m further.hints                                            every hint, a short training for each
    python -m further.hints --only 2 9 13                              some of them, by their numbers
    python -m further.hints FOLDER --images 65538 --seeds 0 1 --folder results/hints    on photographs, kept

The idea: seventeen hints that many took over, most of them without a measurement. Here each is switched in the notebook's
recipe, alone: left out where the notebook follows it, followed where it does not. All are trained on equally many images,
and their faces are compared. Three hints have no switch; the table says why.

What differs from the notebook: one thing in each training, in a few lines. Traps:
- "better" and "worse" are said of the faces of the training in that row, and only if all its seeds lie beyond all the
  notebook's: where a hint was left out, "worse" speaks for it. With two seeds each, a hint that changes nothing still comes
  out as one of the two once in three times.
- 4: in G's step D sees fakes alone, as is usual where the hint is not followed; BatchNorm then meets other statistics.
- 6: cross-entropy is linear in the label. These labels have the mean gradient of 0.9, the notebook's; only noise is new. The
  source softens those of fakes too, 0 to 0.3: then nothing would drive on a fake that is like no photograph (improved.py).
- 9 needs a learning rate, which the hint does not give. With 0.01 and a momentum of 0.9, D's loss rose above 30.
- 11 needs two bounds. With 1 for D and 1.5 for G both losses came to lie below, and from then on nothing moved.

Measured: 65,538 photographs, two seeds. "Worse" by both measures: 4, 7 and 9. "Better" by both: ReLU in D too
(against 5), the schedule (against 11), and two steps of D (14), which takes longer for it. README.md has the table.
"""

import math
import textwrap
from functools import partial
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

import helper
from common import FaceError
from further import beside, course, losses
from further.layers import Apply, behind_activations

MEASURES = ("sliced Wasserstein x 1000", "Fréchet, face embedding")  # of those of beside.distances


class Hint(NamedTuple):
    """words: what it says; notebook: does the notebook do it? training: what is trained here, or why nothing is; system:
    function that makes the beside.System of that training, or None.
    """

    number: int
    words: str
    notebook: str
    training: str
    system: object = None


# --- What the switches are built with ---------------------------------------------------------------------------------


def with_losses(d=None, g=None, bounds=(-math.inf, -math.inf)):
    """The System with other losses, d and g; bounds: D and G each take a step only if their loss is above it."""
    return beside.with_steps(partial(losses.steps, d=d, g=g, bounds=bounds))


def with_layers(d=list, g=list):
    """The System of networks with other layers. d, g: functions of the notebook's layers, a list, that return others."""

    def build_network(*sizes):
        D, G = plain.build_network(*sizes)
        D.layers, G.layers = nn.Sequential(*d(list(D.layers))), nn.Sequential(*g(list(G.layers)))
        return D.apply(plain.weights_init_normal), G.apply(plain.weights_init_normal)

    plain = course.load()
    return beside.System(course.set_up(build_network=build_network))


# --- The switches, by the hints' numbers ------------------------------------------------------------------------------


def pixels_from_0(layers):
    """1, left out: D sees pixels in [0, 1]. As (tanh(x) + 1) / 2 is sigmoid(2 x), to D this G ends in a sigmoid."""
    return [Apply(lambda x, training: (x + 1) / 2), *layers]


def saturating(own, D, fake):
    """2, left out: G makes E[log(1 - sigmoid(D(G(z))))] smaller, which is -fake_loss."""
    return -own.fake_loss(D(fake))


def cube_z(count, z_size, device):
    """3, left out: z (count, z_size), each number uniform in [-1, 1]. That they are smaller, G's first BatchNorm undoes."""
    return 2 * torch.rand(count, z_size, device=device) - 1


def one_batch(own, D, x, fake):
    """4, left out: in D's step, real and generated pictures are one batch to BatchNorm."""
    real, fake = D(torch.cat([x, fake])).chunk(2)
    return own.real_loss(real) + own.fake_loss(fake)


def relu(layers):
    """5, left out: ReLU in D too, so that no gradient passes where an activation is 0."""
    return [nn.ReLU() if isinstance(layer, nn.LeakyReLU) else layer for layer in layers]


def labels(like, real, flipped=0.05):
    """6: labels shaped as `like`, 0.7 to 1.2 for real pictures and 0 for generated ones; a share of them is the other's."""
    return torch.empty_like(like).uniform_(0.7, 1.2) * ((torch.rand_like(like) < flipped) != real)


def noisy_labels(own, D, x, fake):
    """6, followed: D's loss with these labels. G's label stays the notebook's."""
    return sum(F.binary_cross_entropy_with_logits(out, labels(out, real)) for out, real in ((D(x), True), (D(fake), False)))


def connected_d(layers, width=512):
    """7, left out: fully connected layers, as in the first GAN (Goodfellow et al., 2014)."""
    return [nn.Flatten(), nn.Linear(3 * 32 * 32, width), nn.LeakyReLU(0.2), nn.Linear(width, width), nn.LeakyReLU(0.2),
            nn.Dropout(0.1), nn.Linear(width, 1)]


def connected_g(layers, width=512):
    """7, left out: the same for G, with the notebook's BatchNorm."""
    return [nn.Flatten(), nn.Linear(layers[0].in_channels, width, bias=False), nn.BatchNorm1d(width), nn.ReLU(),
            nn.Linear(width, width, bias=False), nn.BatchNorm1d(width), nn.ReLU(),
            nn.Linear(width, 3 * 32 * 32), nn.Tanh(), nn.Unflatten(1, (3, 32, 32))]


def replay(size=2000, share=0.25):
    """8, followed: at one step of D in four its fakes are former ones, out of a store; new ones take the places of others.
    The store begins with what the untrained G makes. Former and new ones are never in one batch, because of 4.
    """
    own, store = course.set_up(), nn.Module()
    store.register_buffer("fakes", helper.generate(own.G, own.random_z(size, own.z_size, own.device)).to(own.device))
    step = own.discriminator_step

    def discriminator_step(D, G, real_images, d_optimizer, fake_images):
        places = torch.randperm(size, device=fake_images.device)[:len(fake_images)]
        former = store.fakes[places]
        store.fakes[places] = fake_images.detach().float()
        return step(D, G, real_images, d_optimizer, former if torch.rand(()) < share else fake_images)

    own.discriminator_step = discriminator_step
    return beside.System(own, parts=course.parts_of(own) | {"store": store})


def sgd_for_d(rate=0.002):
    """9, followed: D's optimizer is SGD, without momentum."""
    own = course.set_up()
    own.d_optimizer = torch.optim.SGD(own.D.parameters(), rate)
    return beside.System(own)


def with_noise(first=0.1):
    """13, followed: normal noise on what D sees and behind G's activations in training, from `first` evenly down to 0."""
    runs = []

    def noise(x, training):
        left = max(0, 1 - runs[-1].epoch / max(1, runs[-1].total - 1)) if runs else 1
        return x + first * left * torch.randn_like(x) if training else x

    def loop(run, loader):
        runs.append(run)
        own.train(own.D, own.G, own.G_average, loader, own.d_optimizer, own.g_optimizer, own.discriminator_step,
                  own.generator_step, run)

    system = with_layers(lambda layers: [Apply(noise), *layers], lambda layers: behind_activations(layers, noise))
    own = system.own
    return system._replace(loop=loop)


def twice():
    """14, followed: two steps of D on each batch of photographs, the second with new fakes."""
    own = course.set_up()
    step = own.discriminator_step

    def discriminator_step(D, G, real_images, d_optimizer, fake_images):
        step(D, G, real_images, d_optimizer, fake_images)
        return step(D, G, real_images, d_optimizer)

    own.discriminator_step = discriminator_step
    return beside.System(own)


def with_spread(layers):
    """15, followed: one more channel before D's last convolution (Karras et al., 2018, section 3), everywhere the mean of
    all features' standard deviations over the batch.
    """

    def spread(x, training):
        mean = (x.var(0, correction=0) + 1e-8).sqrt().mean()  # a root has no gradient at 0
        return torch.cat([x, mean.expand(len(x), 1, *x.shape[2:])], 1)  # B, C + 1, H, W

    return [*layers[:-1], Apply(spread), nn.Conv2d(layers[-1].in_channels + 1, 1, 4)]


def dropout(layers):
    """17, followed: dropout of one half behind the first three activations of G, also when faces are made."""
    return behind_activations(layers, lambda x, training: F.dropout(x, 0.5), most=3)


BASE = Hint(0, "", "", "the notebook's recipe", beside.notebook)
HINTS = (
    Hint(1, "pictures in [-1, 1], and tanh at the end of G", "yes",
         "left out: D sees pixels in [0, 1]", partial(with_layers, d=pixels_from_0)),
    Hint(2, "G makes log D larger, not log(1 - D) smaller", "yes",
         "left out: G makes log(1 - D) smaller", partial(with_losses, g=saturating)),
    Hint(3, "z from a normal distribution, not from a cube; walks between two z along an arc", "yes",
         "left out: z from the cube [-1, 1]", lambda: beside.System(course.set_up(random_z=cube_z))),
    Hint(4, "batches for D that are all real or all generated; where BatchNorm does not fit, instance normalisation", "yes",
         "left out: both in one batch in D's step", partial(with_losses, one_batch)),
    Hint(5, "no sparse gradients: leaky ReLU in both networks, strides in place of max pooling", "partly: ReLU in G",
         "left out: ReLU in D too", partial(with_layers, d=relu)),
    Hint(6, "random labels near 1 and 0 for D, and now and then a wrong one", "partly: 0.9 for real pictures",
         "followed: 0.7 to 1.2 for real pictures, one label in twenty flipped", partial(with_losses, noisy_labels)),
    Hint(7, "the networks of DCGAN; if none is stable, a mixture with a VAE or with a KL term", "yes",
         "left out: fully connected layers", partial(with_layers, connected_d, connected_g)),
    Hint(8, "tricks from reinforcement learning: show D former fakes, bring back former copies of G and D", "no",
         "followed: at one step of D in four, its fakes are former ones", replay),
    Hint(9, "Adam for G, SGD for D", "partly: Adam for both",
         "followed: SGD for D", sgd_for_d),
    Hint(10, "look for failure early: D's loss at 0, gradients longer than 100, a loss of G that only falls",
         "partly: losses and faces, not gradients",
         "cannot be measured here because to watch a training does not change its faces"),
    Hint(11, "no schedule that trains D or G by what the losses are", "yes",
         "left out: D steps only while its loss is above 0.75, G while above 1", partial(with_losses, bounds=(0.75, 1))),
    Hint(12, "where there are labels, D learns to tell the classes too", "no",
         "cannot be measured here because a folder of faces has no classes; biggan.py has them"),
    Hint(13, "noise on what D sees, which fades, and noise in the layers of G", "no",
         "followed: noise of 0.1, which falls to 0", with_noise),
    Hint(14, "more steps of D than of G, above all where there is noise", "no",
         "followed: two steps of D for one of G", twice),
    Hint(15, "D compares the pictures of a batch (more in improved.py)", "no",
         "followed: D sees how much a batch varies", partial(with_layers, d=with_spread)),
    Hint(16, "a class goes through a short embedding, and joins the picture as channels", "no",
         "cannot be measured here because a folder of faces has no classes; biggan.py has them"),
    Hint(17, "dropout of one half in G, in training and afterwards", "no",
         "followed: dropout behind the first three activations", partial(with_layers, g=dropout)),
)


# --- Measured ---------------------------------------------------------------------------------------------------------


def verdict(base, found):
    """Are the distances `found`, one for each seed, smaller or larger than all of base? Both lists of float."""
    if min(len(base), len(found)) < 2 or not all(map(math.isfinite, [*base, *found])):
        return ""
    return "better" if max(found) < min(base) else "worse" if min(found) > max(base) else "not told apart"


def table(hints, measured, floor):
    """Markdown: a row for each hint. measured: {number: what beside.distances gave for each seed}; floor: for real faces."""

    def row(hint, found):
        figures = ["; ".join(f"{one[name]:{beside.FORMATS[name]}}" for one in found) for name in MEASURES]
        verdicts = (verdict(*([one[name] for one in some] for some in (measured[0], found))) for name in MEASURES)
        said = filter(None, dict.fromkeys(verdicts))  # once, where both measures say the same
        return [str(hint.number), *hint[1:4], *figures, " / ".join(said if hint in hints else [])]

    rows = [row(hint, measured.get(hint.number, [])) for hint in (BASE, *hints)]
    real = row(Hint("", "", "", "real faces"), [floor])
    return beside.markdown(["", "hint", "in the notebook", "here", *MEASURES, "the faces are"], [real, *rows])


def measure(given):
    wrong = set(given.only or []) - {hint.number for hint in HINTS}
    if wrong:
        raise FaceError(f"--only {min(wrong)}: the hints have the numbers 1 to {len(HINTS)}.")
    hints = [hint for hint in HINTS if given.only is None or hint.number in given.only]
    data = beside.faces(given)
    floor, measured, shown = beside.distances(data.photographs[: len(data.reals)], data.reals), {}, {}
    for hint in (BASE, *hints):
        for seed in given.seeds if hint.system else ():
            name = f"{hint.number}, {hint.training}"
            one = beside.trained(name, seed, hint.system, data, given, folder=f"hint {hint.number}, seed {seed}")
            shown.setdefault(textwrap.fill(name, 36), one.faces[:24])
            measured.setdefault(hint.number, []).append(beside.distances(one.faces, data.reals))
            text = table(hints, measured, floor)
            print(f"\n{text}", flush=True)
    across = min(5, len(shown))
    figure = beside.sheet(2.2 * across, 1.9 * math.ceil(len(shown) / 5), dpi=100)
    return text, beside.panels(figure, shown, across, columns=6, fontsize=7)


if __name__ == "__main__":
    only = {"type": int, "nargs": "+", "metavar": "NUMBER", "help": "of the hints to train, 1 to 17 (default: all)"}
    beside.main("hints", __doc__, measure, images=8_000, options={"--only": only})
