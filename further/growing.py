"""Networks that grow: those of progressive growing (Karras, Aila, Laine and Lehtinen, 2018), layer by layer.

https://arxiv.org/abs/1710.10196

All layers for all sizes are there from the start; `size` and `alpha` say which of them are used, and how far the newest
have come in. progressive.py, the paper's companion, says when which size's turn is, and trains them.
"""

import math
from functools import partial
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn

GROUP = 4  # pictures whose standard deviation D sees, at most

# --- Section 2: fading in ---------------------------------------------------------------------------------------------

up = partial(F.interpolate, scale_factor=2.0)  # each pixel repeated: (B, C, S, S) -> (B, C, 2 S, 2 S)
down = partial(F.avg_pool2d, kernel_size=2)  # the mean of each four pixels: (B, C, S, S) -> (B, C, S / 2, S / 2)


def fade(old, new, alpha):
    """Figure 2: from the old path, alpha = 0, to the new one, alpha = 1."""
    return (1 - alpha) * old + alpha * new


# --- Section 3: minibatch standard deviation --------------------------------------------------------------------------


def minibatch_std(x):
    """Add a channel, the mean of all values' standard deviations over a group: (B, C, S, S) -> (B, C + 1, S, S).

    The paper takes the whole batch, its authors' code groups of 4 as here; of 2 or 1 where 4 does not divide B.
    """
    group = math.gcd(GROUP, len(x))
    y = x.view(group, -1, *x.shape[1:])
    std = (y.var(dim=0, correction=0) + 1e-8).sqrt().mean((1, 2, 3))  # B / group; a root has no slope at 0
    return torch.cat([x, std.repeat(group).view(-1, 1, 1, 1).expand(-1, 1, *x.shape[2:])], dim=1)


# --- Section 4: normalisation -----------------------------------------------------------------------------------------


class Equalised(nn.Module):
    """4.1: a convolution whose weights w, drawn from N(0, 1), are used as c * w, with He's c = gain / sqrt(fan_in).

    forward: (B, inward, S, S) -> (B, outward, S, S); kernel: 1 or 3.
    Adam's steps are as large for one weight as for another. So all weights have the same range, and learn as fast.
    """

    def __init__(self, inward, outward, kernel, gain=2**0.5):
        super().__init__()
        self.w = nn.Parameter(torch.randn(outward, inward, kernel, kernel))
        self.b = nn.Parameter(torch.zeros(outward))
        self.c = gain / math.sqrt(inward * kernel**2)

    def forward(self, x):
        return F.conv2d(x, self.c * self.w, self.b, padding=self.w.shape[-1] // 2)


class PixelNorm(nn.Module):
    """4.2: b = a / sqrt(1/C sum_j a_j^2 + 1e-8) over the C channels of each pixel; (B, C, S, S), the same comes out."""

    def forward(self, a):
        return a * (a.square().mean(dim=1, keepdim=True) + 1e-8).rsqrt()


# --- Appendix A: the networks -----------------------------------------------------------------------------------------


def channels(conv_dim, size):
    """Channels at one size: for conv_dim = 64 they are 128 at 4, 64 at 8, 32 at 16 and 16 at 32."""
    return 8 * conv_dim // size


def doubled(first, last):
    """The sizes from first to last, each twice the one before: list of int."""
    return [2**power for power in range(first.bit_length() - 1, last.bit_length())]


def convolutions(*widths, behind=()):
    """Layers of 3 x 3 convolutions, each from one width to the next, with what is to follow the activation: list."""
    return [layer for inward, outward in pairwise(widths)
            for layer in (Equalised(inward, outward, 3), nn.LeakyReLU(0.2), *behind)]


class Generator(nn.Module):
    """All layers are there from the start. `size` and `alpha`, kept with the weights, say which of them are used.

    z_size: length of z; conv_dim: channels at 8 x 8; image_size: the largest size, a power of two, 8 or more.
    forward: z (B, z_size) -> pictures (B, 3, size, size), about in [-1, 1].
    """

    def __init__(self, z_size, conv_dim, image_size=32):
        super().__init__()
        self.z_size, width = z_size, partial(channels, conv_dim)
        self.first = nn.Sequential(PixelNorm(), Equalised(z_size, 16 * width(4), 1), nn.LeakyReLU(0.2))
        self.block, self.to_rgb = nn.ModuleDict(), nn.ModuleDict()
        for size in doubled(4, image_size):
            widths = [width(4)] * 2 if size == 4 else [width(size // 2), width(size), width(size)]
            self.block[str(size)] = nn.Sequential(*convolutions(*widths, behind=[PixelNorm()]))
            self.to_rgb[str(size)] = Equalised(width(size), 3, 1, gain=1)
        self.register_buffer("size", torch.tensor(4))
        self.register_buffer("alpha", torch.tensor(1.0))

    def forward(self, z):
        size, alpha = self.size.item(), self.alpha.item()
        x = PixelNorm()(self.first(z[:, :, None, None]).view(len(z), -1, 4, 4))  # 128 x 4 x 4
        x = self.block["4"](x)
        for step in doubled(8, size):  # 64 x 8 x 8, 32 x 16 x 16, 16 x 32 x 32
            before, x = x, self.block[str(step)](up(x))
        pictures = self.to_rgb[str(size)](x)
        if alpha < 1:
            pictures = fade(up(self.to_rgb[str(size // 2)](before)), pictures, alpha)
        return pictures.float()


class Discriminator(nn.Module):
    """The generator's mirror image.

    conv_dim, image_size: as for the generator.
    forward: pictures (B, 3, S, S) in [-1, 1], S = 4, 8, ... image_size -> logits (B, 1). `alpha` is for that S.
    """

    def __init__(self, conv_dim, image_size=32):
        super().__init__()
        width, self.block, self.from_rgb = partial(channels, conv_dim), nn.ModuleDict(), nn.ModuleDict()
        for size in doubled(4, image_size):
            self.from_rgb[str(size)] = nn.Sequential(Equalised(3, width(size), 1), nn.LeakyReLU(0.2))
        for size in doubled(8, image_size):
            widths = width(size), width(size), width(size // 2)
            self.block[str(size)] = nn.Sequential(*convolutions(*widths), nn.AvgPool2d(2))
        self.last = nn.Sequential(  # all of the 4 x 4 that is left, into one number
            *convolutions(width(4) + 1, width(4)), nn.Flatten(1), nn.Unflatten(1, (-1, 1, 1)),
            Equalised(16 * width(4), width(4), 1), nn.LeakyReLU(0.2), Equalised(width(4), 1, 1, gain=1))
        self.register_buffer("alpha", torch.tensor(1.0))

    def forward(self, x):
        size, alpha = x.shape[-1], self.alpha.item()
        y = self.from_rgb[str(size)](x)  # 16 x 32 x 32
        for step in reversed(doubled(8, size)):  # 32 x 16 x 16, 64 x 8 x 8, 128 x 4 x 4
            y = self.block[str(step)](y)
            if step == size and alpha < 1:
                y = fade(self.from_rgb[str(size // 2)](down(x)), y, alpha)
        return self.last(minibatch_std(y)).flatten(1).float()
