"""Other layers than the notebook's. Each function takes a network's class and returns another in its place.

    own = course.set_up(Discriminator=layers.spectral(course.load().Discriminator))

The classes keep their layers as the notebook's do, in the nn.Sequential `self.layers`. At the end of the file: BatchNorm
with a condition, for biggan.py and best.py; a function as a layer, and where to put it.
"""

from torch import nn
from torch.nn.utils.parametrizations import spectral_norm


def spectral(Discriminator):
    """Spectral normalisation (Miyato et al., 2018) in place of BatchNorm: no convolution stretches its input further
    than to its own length, so that D's slope stays bounded.
    """

    class Spectral(Discriminator):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            layers = (layer for layer in self.layers if not isinstance(layer, nn.BatchNorm2d))
            self.layers = nn.Sequential(
                *(spectral_norm(layer) if isinstance(layer, nn.Conv2d) else layer for layer in layers))

    return Spectral


class WithShortcut(nn.Module):
    """A layer that halves or doubles the size, with a shortcut past it (He et al., 2016): what both make, added.

    conv: nn.Conv2d or nn.ConvTranspose2d of stride 2; behind: what follows it in the layer.
    """

    def __init__(self, conv, *behind):
        super().__init__()
        self.layer = nn.Sequential(conv, *behind)
        resize = nn.AvgPool2d(2) if isinstance(conv, nn.Conv2d) else nn.Upsample(scale_factor=2)
        self.shortcut = nn.Sequential(resize, nn.Conv2d(conv.in_channels, conv.out_channels, 1))

    def forward(self, x):
        return self.layer(x) + self.shortcut(x)


def with_shortcuts(Network):
    """A shortcut past each layer of stride 2 that BatchNorm follows, in a Discriminator or in a Generator."""

    class Residual(Network):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            old, new = list(self.layers), []
            while old:
                if getattr(old[0], "stride", None) == (2, 2) and isinstance(old[1], nn.BatchNorm2d):
                    new.append(WithShortcut(*old[:3]))  # with BatchNorm and activation
                    del old[:3]
                else:
                    new.append(old.pop(0))
            self.layers = nn.Sequential(*new)

    return Residual


class ConditionalNorm(nn.Module):
    """BatchNorm whose gain and bias are linear in a condition (B, length): x (B, C, S, S) -> the same shape.

    bias: has the linear map one?; momentum: BatchNorm's.
    """

    def __init__(self, channels, length, bias=True, momentum=0.1):
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False, momentum=momentum)
        self.both = nn.Linear(length, 2 * channels, bias=bias)

    def forward(self, x, condition):
        gain, bias = self.both(condition)[:, :, None, None].chunk(2, 1)
        return (1 + gain) * self.norm(x) + bias


class Apply(nn.Module):
    """A function of (x, training) as a layer. Copies of a network, such as G's average, share the function."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x, self.training)


def behind_activations(layers, function, most=None):
    """The layers, a list, with Apply(function) behind each ReLU, or behind the first `most` of them."""
    places = [place for place, layer in enumerate(layers) if isinstance(layer, nn.ReLU)][:most]
    return [part for place, layer in enumerate(layers) for part in [layer, Apply(function)][:1 + (place in places)]]
