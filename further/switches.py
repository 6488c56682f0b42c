"""The switches of hints.py: each changes one thing in the notebook's recipe, by the number of its hint.

"Left out": the notebook follows the hint, the switch does not. "Followed": the other way round. Some are systems of their
own (beside.System), the others a loss or a change of layers, of which `with_losses` and `with_layers` make one.
"""

import math
from functools import partial

import torch
import torch.nn.functional as F
from torch import nn

import helper
from further import beside, course, losses
from further.layers import Apply, behind_activations

# --- What they are built with -----------------------------------------------------------------------------------------


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


# --- By the hints' numbers --------------------------------------------------------------------------------------------


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
