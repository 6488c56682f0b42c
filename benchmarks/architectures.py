"""Other networks for the notebook's loop, each from a paper that promises better faces: do they keep it at 32 x 32?

A function takes the notebook's class and returns another in its place; NORM_FREE, at the end, holds all that differs for
networks without any normalisation.
"""

import itertools

import torch
import torch.nn.functional as F
from torch import nn

from further.best import augment
from further.biggan import Attention
from further.growing import minibatch_std
from further.layers import Apply
from further.losses import step, steps
from further.stability import squared_slope

# --- Parts that are added to the notebook's networks ------------------------------------------------------------------


def comparing(Discriminator):
    """Minibatch standard deviation (Karras et al., 2018): D's last layer sees how much four pictures differ."""

    class Comparing(Discriminator):
        def __init__(self, conv_dim, image_size=32):
            super().__init__(conv_dim, image_size)
            *layers, last = self.layers
            seen = Apply(lambda x, training: minibatch_std(x))
            self.layers = nn.Sequential(*layers, seen, nn.Conv2d(last.in_channels + 1, 1, 4))

    return Comparing


def attending(Network, place, channels):
    """Self-attention (Zhang et al., 2019) in front of the layer at this place, at 16 x 16 pixels of so many channels."""

    class Attending(Network):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            layers = list(self.layers)
            layers.insert(place, Attention(channels))
            self.layers = nn.Sequential(*layers)

    return Attending


def excited(Generator):
    """Skip-layer excitation (Liu et al., 2021): what G has at 4 x 4 scales its channels at 16 x 16; 8 x 8 those of 32."""

    def gate(n_in, n_out):
        return nn.Sequential(nn.AdaptiveAvgPool2d(4), nn.Conv2d(n_in, n_out, 4), nn.LeakyReLU(0.2),
                             nn.Conv2d(n_out, n_out, 1), nn.Sigmoid())

    class Excited(Generator):
        def __init__(self, z_size, conv_dim, image_size=32):
            super().__init__(z_size, conv_dim, image_size)
            self.blocks = nn.ModuleList(self.layers[place : place + 3] for place in (0, 3, 6, 9))  # 4, 8, 16, 32 pixels
            self.last = self.layers[12:]
            self.gates = nn.ModuleList([gate(4 * conv_dim, conv_dim), gate(2 * conv_dim, conv_dim // 2)])

        def forward(self, z):
            x_4 = self.blocks[0](z[:, :, None, None])
            x_8 = self.blocks[1](x_4)
            x_16 = self.blocks[2](x_8) * self.gates[0](x_4)
            return self.last(self.blocks[3](x_16) * self.gates[1](x_8))

    return Excited


class Fixed(nn.Module):
    """A convolution of stride 2 whose weights stay as they were drawn: (B, n_in, S, S) -> (B, n_out, S / 2, S / 2)."""

    def __init__(self, n_in, n_out):
        super().__init__()
        self.register_buffer("weight", nn.init.kaiming_normal_(torch.empty(n_out, n_in, 4, 4), 0.2))

    def forward(self, x):
        return F.conv2d(x, self.weight, stride=2, padding=1)


def on_random_features(Discriminator):
    """D's first two convolutions are random and never learn (as in Sauer et al., 2021, who want them pretrained)."""

    class OnRandomFeatures(Discriminator):
        def __init__(self, conv_dim, image_size=32):
            super().__init__(conv_dim, image_size)
            _first, activation, _second, *layers = self.layers
            self.layers = nn.Sequential(Fixed(3, conv_dim), activation, Fixed(conv_dim, 2 * conv_dim), *layers)

    return OnRandomFeatures


# --- Augmentation as far as D has learned the photographs by heart (Karras et al., 2020) --------------------------------

MOST, PICTURES = 0.8, 100_000  # the largest share of augmented pictures; the photographs in which it could go from 0 to 1


def steered(Discriminator):
    """D looks at pictures of which a share, its buffer, is changed as further/best.py does; `steering` moves the share."""

    class Steered(Discriminator):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self.register_buffer("share", torch.tensor(0.0))

        def forward(self, x):
            if self.training and self.share > 0:
                x = torch.where(torch.rand(len(x), 1, 1, 1, device=x.device) < self.share, augment(x), x.float())
            return super().forward(x)

    return Steered


def steering(own):
    """The notebook's steps; where D takes more than four photographs in five for real, more pictures are augmented.

    r_t = E[sign(D(x))] is held at 0.6: above it the share of D grows, below it shrinks.
    Returns: discriminator_step, generator_step.
    """

    def d(own, D, x, fake):
        real = D(x)
        more = (real.detach().sign().mean() - 0.6).sign()
        D.share.add_(more * len(x) / PICTURES).clamp_(0, MOST)
        return own.real_loss(real) + own.fake_loss(D(fake))

    return steps(own, d)


# --- Without normalisation, after R3GAN (Huang et al., 2024) ----------------------------------------------------------


class Residual(nn.Module):
    """x and what three convolutions make of it, added: (B, channels, S, S), the same comes out."""

    def __init__(self, channels):
        super().__init__()
        self.first, self.last = nn.Conv2d(channels, channels, 1), nn.Conv2d(channels, channels, 1, bias=False)
        self.middle = nn.Conv2d(channels, channels, 3, padding=1, bias=False)

    def forward(self, x):
        y = F.leaky_relu(self.first(x), 0.2)
        return x + self.last(F.leaky_relu(self.middle(y), 0.2))


class NormFreeDiscriminator(nn.Sequential):
    """Pictures (B, 3, 32, 32) -> logits (B, 1)."""

    def __init__(self, conv_dim, image_size=32):
        layers, channels = [nn.Conv2d(3, conv_dim, 4, 2, 1)], conv_dim
        for _ in range(2):
            layers += [Residual(channels), nn.AvgPool2d(2), nn.Conv2d(channels, 2 * channels, 1, bias=False)]
            channels *= 2
        super().__init__(*layers, Residual(channels), nn.Conv2d(channels, 1, 4), nn.Flatten())


class NormFreeGenerator(nn.Sequential):
    """z (B, z_size) -> pictures (B, 3, 32, 32) in [-1, 1]."""

    def __init__(self, z_size, conv_dim, image_size=32):
        channels = 4 * conv_dim
        layers = [nn.Unflatten(1, (z_size, 1, 1)), nn.ConvTranspose2d(z_size, channels, 4), Residual(channels)]
        for _ in range(3):
            layers += [nn.Conv2d(channels, channels // 2, 1, bias=False), nn.UpsamplingBilinear2d(scale_factor=2),
                       Residual(channels // 2)]
            channels //= 2
        super().__init__(*layers, nn.Conv2d(channels, 3, 3, padding=1), nn.Tanh())
        self.z_size = z_size


def norm_free_weights(m):
    """He's weights, but zeros where a residual ends: to begin with, each is the identity. For Module.apply."""
    if isinstance(m, (nn.Conv2d, nn.ConvTranspose2d)):
        nn.init.kaiming_normal_(m.weight, 0.2)
    elif isinstance(m, Residual):
        nn.init.zeros_(m.last.weight)


def paired(own, gamma=0.05, every=1):
    """The relativistic loss of pairs, with R1 and R2: gamma / 2 * E[|grad D|^2] at real and at generated pictures.

    every: take the penalties at one step in so many, with so many times the weight, in float32.
    Returns: discriminator_step, generator_step.
    """
    count, latest = itertools.count(), {}

    def discriminator_step(D, G, real_images, d_optimizer, fake_images):
        x, fake = own.scale(real_images), fake_images.detach()
        latest["real"] = x.detach()
        if next(count) % every:
            return step(F.softplus(D(fake) - D(x)).mean(), D, d_optimizer)
        with torch.autocast(x.device.type, enabled=False):
            (real_out, r1), (fake_out, r2) = (squared_slope(D, faces.float()) for faces in (x, fake))
            return step(F.softplus(fake_out - real_out).mean() + every * gamma / 2 * (r1 + r2).mean(), D, d_optimizer)

    def generator_step(D, G, batch_size, g_optimizer, fake_images):
        return step(F.softplus(D(latest["real"]) - D(fake_images)).mean(), G, g_optimizer)

    return discriminator_step, generator_step


NORM_FREE = {"Discriminator": NormFreeDiscriminator, "Generator": NormFreeGenerator, "betas": (0.0, 0.99),
             "weights_init_normal": norm_free_weights}
