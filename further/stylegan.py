"""A style-based generator: StyleGAN (Karras, Laine and Aila, 2019) and StyleGAN2 (Karras et al., 2020).

https://arxiv.org/abs/1812.04948
https://arxiv.org/abs/1912.04958

    python -m further.stylegan                     drawn faces
    python -m further.stylegan FOLDER --seeds 0 1  on photographs

The idea: a mapping network first makes a w of z, free to bend the space of z as faces need it. The picture begins with
a learned constant, and w says in each layer how strongly each channel counts: the layer's style. So two faces can be
mixed, the coarse layers of one with the fine layers of the other. Noise in every layer gives what is chance in a face,
the place of single hairs, say. The first paper scales what comes out of a layer, the second the layer's weights.

What differs from the notebook: the generator, and its optimizer's settings. D, the losses and the loop stay, where the
papers have a residual D, R1 and, in the second, a term for path lengths. Their mapping network has 8 layers, here 4;
their pictures are the sum of what each size adds, without tanh, here the mean, with it; their rate is 0.002, here 0.01.
Their colours take the w of the next layer, here that of the layer which they are made of. Traps:
- Weights are drawn from N(0, 1) and scaled when they are used. With the notebook's rate such weights are far too slow.
- `weights_init_normal` leaves this generator as it is, because none of its layers is an nn.Linear or an nn.Conv2d.
- Averaged weights need the mean w of their own mapping network, not that of the latest weights.
- In evaluation a layer's noise is one map, always the same, so that the same z is the same face.

Measured on photographs, two seeds, 340 seconds of one core: the path is 3.6 and 3.0 in w, 6.9 and 4.9 in z. The faces look
clean, and are more alike than the notebook's: Fréchet 0.038 and 0.036 against 0.022 and 0.023. README.md has the table.
"""

import copy
import math
from functools import partial

import torch
import torch.nn.functional as F
from torch import nn

from common import FaceError
from further import beside, course
from measures.paths import path_length, slerp

RATE, BETAS = 0.01, (0.0, 0.99)  # of G's Adam; the papers' rate, 0.002, is for trainings a thousand times as long
MAPPING_LAYERS, MAPPING_RATE = 4, 0.01
MIXED = 0.9  # the share of pictures in training that two w make
PAIRS = 200  # of faces, for the path length: half a minute
doubled = partial(F.interpolate, scale_factor=2, mode="bilinear")

# --- The mapping network: 2019, section 2 -----------------------------------------------------------------------------


class Linear(nn.Module):
    """A linear layer with an equalised learning rate: (B, n_in) -> (B, n_out). bias: what each one begins with.

    Weights are drawn from N(0, 1 / rate^2) and multiplied by rate / sqrt(n_in) when they are used. Adam's steps have
    the same size whatever the weights' is, so that rate 0.01 makes the product change a hundredth as fast.
    """

    def __init__(self, n_in, n_out, bias=0.0, rate=1.0):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(n_out, n_in) / rate)
        self.bias = nn.Parameter(torch.full((n_out,), bias / rate))
        self.rate, self.gain = rate, rate / math.sqrt(n_in)

    def forward(self, x):
        return F.linear(x, self.weight * self.gain, self.bias * self.rate)


class MeanW(nn.BatchNorm1d):
    """Keeps the mean of w, as BatchNorm does, and normalises nothing: w (B, w_size) goes through as it is.

    Being one, it is measured anew for averaged weights where the notebook does that with BatchNorm (settle_statistics).
    """

    def __init__(self, w_size):
        super().__init__(w_size, momentum=0.005, affine=False)

    def forward(self, w):
        if self.training:
            self.num_batches_tracked += 1
            newest = w.detach().mean(0).to(self.running_mean)
            self.running_mean.lerp_(newest, self.momentum or 1 / self.num_batches_tracked.item())  # None: all alike
        return w


class Mapping(nn.Module):
    """z (B, size) -> w (B, size); only the direction of z counts."""

    def __init__(self, size):
        super().__init__()
        self.layers = nn.ModuleList(Linear(size, size, rate=MAPPING_RATE) for _ in range(MAPPING_LAYERS))
        self.mean = MeanW(size)

    def forward(self, z):
        w = z * (z.square().mean(1, keepdim=True) + 1e-8).rsqrt()
        for layer in self.layers:
            w = activate(layer(w))
        return self.mean(w)


def activate(x):
    """Leaky ReLU, times sqrt(2), which about keeps the mean square of what comes in."""
    return F.leaky_relu(x, 0.2) * math.sqrt(2)


# --- Weights that a style scales: 2020, section 2.2 -------------------------------------------------------------------


class Modulated(nn.Module):
    """A convolution whose weights a style scales, for each picture its own: x (B, n_in, S, S), w (B, w_size).

    (1) w'_ijk = s_i w_ijk, for input channel i, output channel j, place k; s is an affine function of w.
    (2) sigma_j = sqrt(sum over i, k of w'_ijk^2), the output's standard deviation if the input's is 1.
    (3) w''_ijk = w'_ijk / sqrt(sigma_j^2 + 1e-8), unless `demodulate` is False.
    A convolution is linear: to scale its input by s and its output by 1 / sigma is the same, and shares the weights.
    """

    def __init__(self, n_in, n_out, kernel, w_size, demodulate=True):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(n_out, n_in, kernel, kernel))
        self.style = Linear(w_size, n_in, bias=1.0)
        self.gain, self.padding, self.demodulate = 1 / math.sqrt(n_in * kernel**2), kernel // 2, demodulate

    def forward(self, x, w):
        s, weight = self.style(w), self.weight * self.gain
        x = F.conv2d(x * s[:, :, None, None], weight, padding=self.padding)
        if self.demodulate:
            sigma_squared = F.linear(s.square(), weight.square().sum((2, 3)))
            x = x * (sigma_squared + 1e-8).rsqrt()[:, :, None, None]
        return x


class Layer(nn.Module):
    """Doubling, where it `doubles`; a modulated convolution; noise of a learned strength; a bias: (B, n_out, S, S)."""

    def __init__(self, n_in, n_out, size, w_size, doubles):
        super().__init__()
        self.conv, self.doubles = Modulated(n_in, n_out, 3, w_size), doubles
        self.strength, self.bias = nn.Parameter(torch.zeros(())), nn.Parameter(torch.zeros(n_out, 1, 1))
        self.register_buffer("noise", torch.randn(1, 1, size, size))

    def forward(self, x, w):
        if self.doubles:
            x = doubled(x)
        x = self.conv(x, w)
        noise = torch.randn_like(x[:, :1]) if self.training else self.noise
        return activate(x + self.strength * noise + self.bias)


class Generator(nn.Module):
    """StyleGAN2's generator in the notebook's form, with output skips: each size adds its own to the picture so far.

    z_size: length of z and of w; conv_dim: half the channels at 4 x 4, twice those at the end; image_size: 8, 16, ...
    forward: z (B, z_size) -> pictures (B, 3, image_size, image_size) in [-1, 1]. In training most have two w.
    """

    def __init__(self, z_size, conv_dim, image_size=32):
        super().__init__()
        if image_size < 8 or image_size & (image_size - 1):
            raise FaceError(f"image_size is {image_size}: give 8, 16, 32, 64 or another power of two.")
        self.z_size, self.mapping = z_size, Mapping(z_size)
        sizes = [size for size in (2**power for power in range(2, 20)) if size <= image_size]
        channels = [min(2 * conv_dim, conv_dim * image_size // (2 * size)) for size in sizes]  # 128, 128, 64, 32
        self.constant = nn.Parameter(torch.randn(1, channels[0], 4, 4))
        self.layers = nn.ModuleList([Layer(channels[0], channels[0], 4, z_size, False)])
        for n_in, n_out, size in zip(channels, channels[1:], sizes[1:], strict=False):
            self.layers += [Layer(n_in, n_out, size, z_size, True), Layer(n_out, n_out, size, z_size, False)]
        self.to_rgb = nn.ModuleList(Modulated(count, 3, 1, z_size, demodulate=False) for count in channels)
        self.rgb_bias = nn.Parameter(torch.zeros(3, 1, 1))

    def forward(self, z):
        w = self.mapping(z)
        if not self.training:
            return self.synthesis(w)
        other, last = self.mapping(torch.randn_like(z)), len(self.layers)  # mixing regularisation: 2019, section 3.1
        crossover = torch.randint(1, last, (len(z), 1), device=z.device)
        alone = torch.rand(len(z), 1, device=z.device) >= MIXED
        return self.synthesis(self.mix(w, other, crossover.masked_fill(alone, last)))

    def mix(self, coarse, fine, crossover):
        """The w of each layer, (B, layers, w_size): that of `coarse` before the layer `crossover`, then that of `fine`.

        coarse, fine: (B, w_size); crossover: int, or int tensor (B, 1), 0 to the number of layers.
        """
        early = torch.arange(len(self.layers), device=coarse.device) < crossover
        return torch.where(early.view(-1, len(self.layers), 1), coarse[:, None], fine[:, None])

    def truncated(self, w, psi):
        """w (B, w_size) drawn towards its mean: psi 1 leaves it, psi 0 makes it the mean. 2019, appendix B."""
        return self.mapping.mean.running_mean + psi * (w - self.mapping.mean.running_mean)

    def synthesis(self, w):
        """w (B, w_size), or what `mix` made -> pictures (B, 3, image_size, image_size) in [-1, 1]."""
        ws = w if w.dim() == 3 else w[:, None].expand(-1, len(self.layers), -1)
        x = self.constant.expand(len(ws), -1, -1, -1)  # 128 x 4 x 4
        picture = self.rgb_bias
        for number, (layer, w) in enumerate(zip(self.layers, ws.unbind(1), strict=True)):
            x = layer(x, w)
            if number % 2 == 0:  # the last layer of its size
                picture = picture + self.to_rgb[number // 2](x, w)
                picture = doubled(picture) if layer is not self.layers[-1] else picture
        return torch.tanh(picture / len(self.to_rgb))  # their mean, because the sum is beyond what tanh can tell apart


def styled():
    """The System of this generator with the notebook's discriminator, losses and loop."""
    own = course.set_up(Generator=Generator)
    own.g_optimizer = torch.optim.Adam(own.G.parameters(), RATE, BETAS, fused=True)
    return beside.System(own)


# --- Path length: 2019, section 4.1; the measure itself is in measures/paths.py ---------------------------------------


@torch.no_grad()
def path_lengths(own):
    """Those of own.G_average in z and, where it has a w, in w, between PAIRS pairs of z: list of float."""
    G = copy.deepcopy(own.G_average.module).double().eval()
    a, b = own.random_z(2 * PAIRS, own.z_size, own.device).double().chunk(2)
    found = [path_length(G, slerp, a, b)]
    if isinstance(G, Generator):
        found.append(path_length(G.synthesis, torch.lerp, G.mapping(a), G.mapping(b)))
    return found


# --- The pictures -----------------------------------------------------------------------------------------------------


@torch.no_grad()
def mixing_grid(G, rows, columns):
    """Faces with the coarse layers of rows (N, w_size), 4 x 4 and 8 x 8, and the fine ones of columns (M, w_size).

    Returns: pictures ((N + 1) * (M + 1), 3, S, S): above the faces of the columns, left those of the rows, mixed ones
    elsewhere; the corner is white.
    """
    above, left = G.synthesis(columns), G.synthesis(rows)
    lines = [torch.cat([torch.ones_like(above[:1]), above])]
    for face, w in zip(left, rows, strict=True):
        lines.append(torch.cat([face[None], G.synthesis(G.mix(w.expand_as(columns), columns, 3))]))
    return torch.cat(lines)


@torch.no_grad()
def draw(judged):
    """A Figure: the first faces of each system; below, by StyleGAN2, faces mixed and faces drawn towards the mean."""
    own, psis = judged[1].system.own, (0.0, 0.25, 0.5, 0.75, 1.0)  # the first behind the notebook's
    G = own.G_average.module.eval()
    w = G.mapping(own.random_z(13, G.z_size, own.device))
    drawn = torch.stack([G.synthesis(G.truncated(w[:6], psi)) for psi in psis], 1).flatten(0, 1)
    shown = {one.name: (one.faces[:35], 7) for one in judged[:2]} | {
        "coarse styles from the left, fine ones from above": (mixing_grid(G, w[:5], w[5:]), 9),
        f"psi {', '.join(map(str, psis))}": (drawn, len(psis)),
    }
    figure = beside.sheet(9, 7)
    for axis, (name, (pictures, columns)) in zip(figure.subplots(2, 2).flatten(), shown.items(), strict=True):
        beside.show(axis, pictures, columns, name, fontsize=10)
    return figure


def measure(given):
    data = beside.faces(given)
    judged = beside.compare({"StyleGAN2": styled}, data, given)

    def paths(one):
        return "; ".join(f"{length:.1f}" for length in path_lengths(one.system.own))

    return beside.table(judged, data, **{"path length in z; in w": paths}), draw(judged)


if __name__ == "__main__":
    beside.main("stylegan", __doc__, measure, images=30_000)
