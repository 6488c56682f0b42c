"""Right and wrong answers to Discriminator, Generator and weights_init_normal, as learners write them."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from answers import Answers
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

discriminators = Answers(
    "test_discriminator", aside=("D has no dropout", "one kernel size", "other than BatchNorm", "D has no LeakyReLU")
)
generators = Answers("test_generator", aside=("a last layer of stride 1", "other layers in their place"))
initials = Answers("test_weights_init")


# What the course's earlier edition gives its learners to start from


def conv(in_channels, out_channels, kernel_size, stride=2, padding=1, batch_norm=True):
    layers = [nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding, bias=False)]
    if batch_norm:
        layers.append(nn.BatchNorm2d(out_channels))
    return nn.Sequential(*layers)


def deconv(in_channels, out_channels, kernel_size, stride=2, padding=1, batch_norm=True):
    layers = [nn.ConvTranspose2d(in_channels, out_channels, kernel_size, stride, padding, bias=False)]
    if batch_norm:
        layers.append(nn.BatchNorm2d(out_channels))
    return nn.Sequential(*layers)


# Discriminator: sound


class EarlierD(nn.Module):
    """A finished notebook of the earlier edition."""

    def __init__(self, conv_dim):
        super(EarlierD, self).__init__()  # noqa: UP008 (as learners write it)
        self.conv_dim = conv_dim
        self.conv1 = conv(3, conv_dim, 4, batch_norm=False)
        self.conv2 = conv(conv_dim, conv_dim * 2, 4)
        self.conv3 = conv(conv_dim * 2, conv_dim * 4, 4)
        self.fc = nn.Linear(conv_dim * 4 * 4 * 4, 1)

    def features(self, x):
        x = F.leaky_relu(self.conv1(x), 0.2)
        x = F.leaky_relu(self.conv2(x), 0.2)
        return F.leaky_relu(self.conv3(x), 0.2)

    def forward(self, x):
        return self.fc(self.features(x).view(-1, self.conv_dim * 4 * 4 * 4))


class EarlierDropoutD(EarlierD):
    def __init__(self, conv_dim):
        super().__init__(conv_dim)
        self.dropout = nn.Dropout(0.3)

    def forward(self, x):
        x = self.features(x)
        return self.fc(self.dropout(x.view(x.size(0), -1)))


class SigmoidD(EarlierD):
    def forward(self, x):
        return torch.sigmoid(super().forward(x))


class Sequential(nn.Module):
    """A network in one Sequential; the answers below differ in its layers."""

    def __init__(self, *layers):
        super().__init__()
        self.main = nn.Sequential(*layers)

    def forward(self, x):
        return self.main(x)


def slope():
    return nn.LeakyReLU(0.2, inplace=True)


class TutorialD(Sequential):
    def __init__(self, conv_dim):
        c = conv_dim
        super().__init__(
            nn.Conv2d(3, c, 4, 2, 1, bias=False),
            slope(),
            nn.Conv2d(c, 2 * c, 4, 2, 1, bias=False),
            nn.BatchNorm2d(2 * c),
            slope(),
            nn.Conv2d(2 * c, 4 * c, 4, 2, 1, bias=False),
            nn.BatchNorm2d(4 * c),
            slope(),
            nn.Conv2d(4 * c, 1, 4, 1, 0, bias=False),
            nn.Sigmoid(),
            nn.Flatten(),
        )


class SpectralD(Sequential):
    def __init__(self, conv_dim):
        c = conv_dim
        super().__init__(
            spectral_norm(nn.Conv2d(3, c, 4, 2, 1)),
            slope(),
            spectral_norm(nn.Conv2d(c, 2 * c, 4, 2, 1)),
            slope(),
            nn.Flatten(),
            spectral_norm(nn.Linear(2 * c * 64, 1)),
        )


class OlderSpectralD(Sequential):
    def __init__(self, conv_dim):
        c, norm = conv_dim, nn.utils.spectral_norm
        super().__init__(
            norm(nn.Conv2d(3, c, 4, 2, 1)),
            slope(),
            norm(nn.Conv2d(c, 2 * c, 4, 2, 1)),
            slope(),
            nn.Flatten(),
            norm(nn.Linear(2 * c * 64, 1)),
        )


class InstanceNormD(Sequential):
    def __init__(self, conv_dim):
        c = conv_dim
        super().__init__(
            nn.Conv2d(3, c, 5, 2, 2),
            slope(),
            nn.Conv2d(c, 2 * c, 5, 2, 2),
            nn.InstanceNorm2d(2 * c, affine=True),
            slope(),
            nn.Flatten(),
            nn.Linear(2 * c * 64, 1),
        )


class LayerNormD(Sequential):
    def __init__(self, conv_dim):
        c = conv_dim
        super().__init__(
            nn.Conv2d(3, c, 4, 2, 1),
            slope(),
            nn.Conv2d(c, 2 * c, 4, 2, 1),
            nn.GroupNorm(1, 2 * c),
            slope(),
            nn.Conv2d(2 * c, 1, 8),
            nn.Flatten(),
        )


class ResidualD(nn.Module):
    def __init__(self, conv_dim):
        super().__init__()
        c = conv_dim
        self.first = nn.Conv2d(3, c, 4, 2, 1)
        self.down = nn.Conv2d(c, 2 * c, 3, 2, 1)
        self.side = nn.Conv2d(c, 2 * c, 1, 2)
        self.norm = nn.BatchNorm2d(2 * c)
        self.last = nn.Linear(2 * c * 64, 1)

    def forward(self, x):
        x = F.leaky_relu(self.first(x), 0.1)
        x = F.leaky_relu(self.norm(self.down(x)) + self.side(x), 0.1)
        return self.last(x.flatten(1))


class ModuleListD(nn.Module):
    def __init__(self, conv_dim):
        super().__init__()
        sizes = [3, conv_dim, 2 * conv_dim, 4 * conv_dim]
        self.blocks = nn.ModuleList([conv(a, b, 4, batch_norm=a > 3) for a, b in zip(sizes, sizes[1:], strict=False)])
        self.fc = nn.Linear(4 * conv_dim * 16, 1)

    def forward(self, x):
        for block in self.blocks:
            x = F.leaky_relu(block(x), 0.2)
        return self.fc(torch.flatten(x, 1))


class EvenDeeperD(EarlierD):
    def __init__(self, conv_dim):
        super().__init__(conv_dim)
        self.conv4 = conv(conv_dim * 4, conv_dim * 8, 4)
        self.fc = nn.Linear(conv_dim * 8 * 2 * 2, 1)

    def forward(self, x):
        x = F.leaky_relu(self.conv4(self.features(x)), 0.2)
        return self.fc(x.reshape(len(x), -1))


class UnshuffleD(nn.Module):
    def __init__(self, conv_dim):
        super().__init__()
        self.a, self.norm = nn.Conv2d(12, conv_dim, 4, 2, 1), nn.BatchNorm2d(2 * conv_dim)
        self.b, self.fc = nn.Conv2d(conv_dim, 2 * conv_dim, 4, 2, 1), nn.Linear(2 * conv_dim * 16, 1)

    def forward(self, x):
        x = F.leaky_relu(self.a(F.pixel_unshuffle(x, 2)), 0.2)
        return self.fc(F.leaky_relu(self.norm(self.b(x)), 0.2).flatten(1))


class WidthFromSettingD(EarlierD):
    def __init__(self, conv_dim=32, image_size=32):
        super().__init__(conv_dim)


# Discriminator: sound, with advice


class FirstNormD(EarlierD):
    def __init__(self, conv_dim):
        super().__init__(conv_dim)
        self.conv1 = conv(3, conv_dim, 4, batch_norm=True)


class ReluD(EarlierD):
    def features(self, x):
        return F.relu(self.conv3(F.relu(self.conv2(F.relu(self.conv1(x))))))


class NoNormD(Sequential):
    def __init__(self, conv_dim):
        super().__init__(
            nn.Conv2d(3, conv_dim, 4, 2, 1),
            slope(),
            nn.Conv2d(conv_dim, 2 * conv_dim, 4, 2, 1),
            slope(),
            nn.Flatten(),
            nn.Linear(2 * conv_dim * 64, 1),
        )


class HalfDropoutD(EarlierDropoutD):
    def __init__(self, conv_dim):
        super().__init__(conv_dim)
        self.dropout = nn.Dropout(0.5)


class AlwaysDropoutD(EarlierD):
    def forward(self, x):
        return self.fc(F.dropout(self.features(x), 0.2).flatten(1))


class NoStrideD(Sequential):
    def __init__(self, conv_dim):
        super().__init__(
            nn.Conv2d(3, conv_dim, 3, padding=1),
            slope(),
            nn.Conv2d(conv_dim, 8, 3, padding=1),
            nn.BatchNorm2d(8),
            slope(),
            nn.Flatten(),
            nn.Linear(8 * 32 * 32, 1),
        )


discriminators.sound("a finished notebook of the earlier edition", EarlierD)
discriminators.sound("with dropout", EarlierDropoutD)
discriminators.sound("sigmoid output", SigmoidD)
discriminators.sound("the DCGAN tutorial's", TutorialD)
discriminators.sound("spectral norm", SpectralD)
discriminators.sound("spectral norm, older function", OlderSpectralD)
discriminators.sound("InstanceNorm", InstanceNormD)
discriminators.sound("GroupNorm, all convolutions", LayerNormD)
discriminators.sound("residual", ResidualD)
discriminators.sound("ModuleList", ModuleListD)
discriminators.sound("four convolutions", EvenDeeperD)
discriminators.sound("pixel_unshuffle", UnshuffleD)
discriminators.sound("image_size taken and ignored", WidthFromSettingD, advice="does not fit pictures of 64 x 64")
discriminators.sound("BatchNorm on the first layer", FirstNormD, advice="BatchNorm on D's first layer")
discriminators.sound("ReLU", ReluD, advice="ReLU in D")
discriminators.sound("no normalisation", NoNormD, advice="no normalisation")
discriminators.sound("dropout of 0.5", HalfDropoutD, advice="dropout of 0.5")
discriminators.sound("dropout in eval mode too", AlwaysDropoutD, advice="eval mode")
discriminators.sound("no stride", NoStrideD, advice="stride")


# Discriminator: wrong


class FlatD(EarlierD):
    def forward(self, x):
        return super().forward(x).squeeze(1)


class SqueezedD(EarlierD):
    def forward(self, x):
        return super().forward(x).squeeze()


class MapD(EarlierD):
    def forward(self, x):
        return super().forward(x)[:, :, None, None]


class TwoD(EarlierD):
    def __init__(self, conv_dim):
        super().__init__(conv_dim)
        self.fc = nn.Linear(conv_dim * 4 * 4 * 4, 2)


class PatchD(Sequential):
    def __init__(self, conv_dim):
        super().__init__(nn.Conv2d(3, conv_dim, 4, 2, 1), slope(), nn.Conv2d(conv_dim, 1, 4, 2, 1), nn.Flatten())


class ScalarD(EarlierD):
    def forward(self, x):
        return super().forward(x).mean()


class SoftmaxD(EarlierD):
    def forward(self, x):
        return F.softmax(super().forward(x), dim=1)


class MaxPoolD(Sequential):
    def __init__(self, conv_dim):
        super().__init__(
            nn.Conv2d(3, conv_dim, 3, padding=1),
            slope(),
            nn.MaxPool2d(2),
            nn.Conv2d(conv_dim, 2 * conv_dim, 4, 2, 1),
            nn.BatchNorm2d(2 * conv_dim),
            slope(),
            nn.Flatten(),
            nn.Linear(2 * conv_dim * 64, 1),
        )


class AveragePoolD(EarlierD):
    def __init__(self, conv_dim):
        super().__init__(conv_dim)
        self.fc = nn.Linear(conv_dim * 4 * 2 * 2, 1)

    def forward(self, x):
        return self.fc(F.avg_pool2d(self.features(x), 2).flatten(1))


class GlobalPoolD(EarlierD):
    def __init__(self, conv_dim):
        super().__init__(conv_dim)
        self.pool, self.fc = nn.AdaptiveAvgPool2d(1), nn.Linear(conv_dim * 4, 1)

    def forward(self, x):
        return self.fc(self.pool(self.features(x)).flatten(1))


class MeanD(EarlierD):
    def __init__(self, conv_dim):
        super().__init__(conv_dim)
        self.fc = nn.Linear(conv_dim * 4, 1)

    def forward(self, x):
        return self.fc(self.features(x).mean(dim=(2, 3)))


class AmaxD(MeanD):
    def forward(self, x):
        return self.fc(self.features(x).amax((-1, -2)))


class FlatMeanD(MeanD):
    def forward(self, x):
        return self.fc(self.features(x).flatten(2).mean(2))


class SlicedD(EarlierD):
    def __init__(self, conv_dim):
        super().__init__(conv_dim)
        self.fc = nn.Linear(conv_dim * 4 * 4, 1)

    def forward(self, x):
        return self.fc(self.features(x)[:, :, ::2, ::2].flatten(1))


class InterpolatedD(EarlierD):
    def __init__(self, conv_dim):
        super().__init__(conv_dim)
        self.fc = nn.Linear(conv_dim * 4 * 4, 1)

    def forward(self, x):
        return self.fc(self.features(F.interpolate(x, scale_factor=0.5)).flatten(1))


class PatchMeanD(PatchD):
    def forward(self, x):
        return super().forward(x).mean(1, keepdim=True)


class FixedWidthD(EarlierD):
    def __init__(self, conv_dim):
        super().__init__(32)


class ConstantD(EarlierD):
    def forward(self, x):
        return 0 * super().forward(x) + 0.5


class DetachedD(EarlierD):
    def forward(self, x):
        return super().forward(x).detach()


class NoGradD(EarlierD):
    @torch.no_grad()
    def forward(self, x):
        return super().forward(x)


class HalfDetachedD(EarlierD):
    def features(self, x):
        return super().features(x).detach()


class RoundedD(SigmoidD):
    def forward(self, x):
        return super().forward(x).round()


class BatchStatisticsD(EarlierD):
    def __init__(self, conv_dim):
        super().__init__(conv_dim)
        self.conv2[1] = nn.BatchNorm2d(conv_dim * 2, track_running_stats=False)


class MixingD(EarlierD):
    def forward(self, x):
        x = self.features(x)
        return self.fc(x.permute(1, 2, 3, 0).reshape(x.size(0), -1))


class CentredD(EarlierD):
    def forward(self, x):
        out = super().forward(x)
        return out - out.mean()


class FixedBatchD(EarlierD):
    def forward(self, x):
        return self.fc(self.features(x).view(50, -1))


class ListD(nn.Module):
    def __init__(self, conv_dim):
        super().__init__()
        self.layers = [conv(3, conv_dim, 4, batch_norm=False), conv(conv_dim, 2 * conv_dim, 4)]
        self.fc = nn.Linear(2 * conv_dim * 64, 1)

    def forward(self, x):
        for layer in self.layers:
            x = F.leaky_relu(layer(x), 0.2)
        return self.fc(x.flatten(1))


class LateLayerD(EarlierD):
    def forward(self, x):
        x = self.features(x).flatten(1)
        return nn.Linear(x.size(1), 1)(x)


class UnusedLayerD(EarlierD):
    def __init__(self, conv_dim):
        super().__init__(conv_dim)
        self.conv4 = conv(conv_dim * 4, conv_dim * 8, 4)


class FrozenD(EarlierD):
    def __init__(self, conv_dim):
        super().__init__(conv_dim)
        self.conv1.requires_grad_(False)


class WrongChannelsD(EarlierD):
    def __init__(self, conv_dim):
        super().__init__(conv_dim)
        self.conv3 = conv(conv_dim, conv_dim * 4, 4)


class WrongLinearD(EarlierD):
    def __init__(self, conv_dim):
        super().__init__(conv_dim)
        self.fc = nn.Linear(conv_dim * 4 * 8 * 8, 1)

    def forward(self, x):
        return self.fc(self.features(x).flatten(1))


class GreyD(EarlierD):
    def __init__(self, conv_dim):
        super().__init__(conv_dim)
        self.conv1 = conv(1, conv_dim, 4, batch_norm=False)


class LargerPicturesD(EarlierD):
    def __init__(self, conv_dim):
        super().__init__(conv_dim)
        self.fc = nn.Linear(conv_dim * 4 * 8 * 8, 1)


class NoSuperD(nn.Module):
    def __init__(self, conv_dim):
        self.fc = nn.Linear(3 * 32 * 32, 1)


class LogD(EarlierD):
    def forward(self, x):
        return torch.log(super().forward(x) - 100)


class NoModuleD:
    def __init__(self, conv_dim):
        self.fc = nn.Linear(3 * 32 * 32, 1)

    def __call__(self, x):
        return self.fc(x.flatten(1))


class TypingErrorD(EarlierD):
    def forward(self, x):
        return self.fc(self.feature(x).flatten(1))


class NormOfOneD(EarlierD):
    def __init__(self, conv_dim):
        super().__init__(conv_dim)
        self.conv4 = conv(conv_dim * 4, 1, 4, padding=0)

    def forward(self, x):
        with torch.inference_mode():
            return self.conv4(self.features(x)).flatten(1)


class NoiseD(EarlierD):
    def forward(self, x):
        return super().forward(torch.randn_like(x))


discriminators.wrong("(B,)", FlatD, says="(7, 1)")
discriminators.wrong("squeezed", SqueezedD, says="(7, 1)")
discriminators.wrong("(B, 1, 1, 1)", MapD, says="(7, 1, 1, 1)")
discriminators.wrong("two values", TwoD, says="(7, 2)")
discriminators.wrong("a value for each patch", PatchD, says="(7, 64)")
discriminators.wrong("one value for the whole batch", ScalarD, says="shape ()")
discriminators.wrong("softmax over one value", SoftmaxD, says="softmax")
discriminators.wrong("MaxPool2d", MaxPoolD, says="pooling: max_pool2d")
discriminators.wrong("avg_pool2d", AveragePoolD, says="pooling: avg_pool2d")
discriminators.wrong("AdaptiveAvgPool2d", GlobalPoolD, says="pooling")
discriminators.wrong("mean over the picture", MeanD, says="pooling: mean")
discriminators.wrong("amax over the picture", AmaxD, says="pooling")
discriminators.wrong("mean over a flattened picture", FlatMeanD, says="pooling")
discriminators.wrong("every second pixel", SlicedD, says="pooling")
discriminators.wrong("pictures made smaller", InterpolatedD, says="pooling: interpolate")
discriminators.wrong("mean of patches", PatchMeanD, says="pooling")
discriminators.wrong("conv_dim ignored", FixedWidthD, says="conv_dim")
discriminators.wrong("constant", ConstantD, says="changes with the image")
discriminators.wrong("detached", DetachedD, says="cut off")
discriminators.wrong("no_grad", NoGradD, says="cut off")
discriminators.wrong("features detached", HalfDetachedD, says="changes with the image")
discriminators.wrong("rounded to 0 or 1", RoundedD)
discriminators.wrong("BatchNorm without running statistics", BatchStatisticsD, says="neighbours")
discriminators.wrong("images mixed by a reshape", MixingD, says="alone")
discriminators.wrong("the batch's mean taken off", CentredD)
discriminators.wrong("batch size fixed", FixedBatchD, says="view")
discriminators.wrong("layers in a list", ListD, says="nn.ModuleList")
discriminators.wrong("a layer made in forward", LateLayerD, says="in __init__")
discriminators.wrong("a layer that is not used", UnusedLayerD, says="conv4")
discriminators.wrong("a frozen layer", FrozenD, says="conv1")
discriminators.wrong("channels that do not fit", WrongChannelsD, says="in_channels")
discriminators.wrong("a linear layer that does not fit", WrongLinearD, says="in_features")
discriminators.wrong("grey pictures", GreyD, says="in_channels")
discriminators.wrong("pictures of 64 x 64", LargerPicturesD, says="in_features")
discriminators.wrong("no super().__init__()", NoSuperD, says="super().__init__()")
discriminators.wrong("nan", LogD, says="finite")
discriminators.wrong("no Module", NoModuleD, says="nn.Module")
discriminators.wrong("a typing error", TypingErrorD, says="self.fc(self.feature(x).flatten(1))")
discriminators.wrong("inference_mode", NormOfOneD)
discriminators.wrong("noise instead of the image", NoiseD)


class UnwrittenInitD(nn.Module):
    def __init__(self, conv_dim):
        super().__init__()
        raise NotImplementedError()


class UnwrittenForwardD(EarlierD):
    def forward(self, x):
        raise NotImplementedError()


class TemplateD(nn.Module):
    """The earlier edition's exercise, untouched."""

    def __init__(self, conv_dim):
        super().__init__()

    def forward(self, x):
        return x


class NoForwardD(nn.Module):
    def __init__(self, conv_dim):
        super().__init__()
        self.fc = nn.Linear(3 * 32 * 32, 1)


class EmptyForwardD(EarlierD):
    def forward(self, x):
        pass


class EmptyD(nn.Module):
    def __init__(self, conv_dim):
        pass

    def forward(self, x):
        pass


discriminators.not_begun("NotImplementedError in __init__", UnwrittenInitD)
discriminators.not_begun("NotImplementedError in forward", UnwrittenForwardD)
discriminators.not_begun("the earlier edition's template", TemplateD)
discriminators.not_begun("no forward", NoForwardD)
discriminators.not_begun("an empty forward", EmptyForwardD)
discriminators.not_begun("nothing but pass", EmptyD)


# Generator: sound


class EarlierG(nn.Module):
    """A finished notebook of the earlier edition: no attribute z_size."""

    def __init__(self, z_size, conv_dim):
        super(EarlierG, self).__init__()  # noqa: UP008 (as learners write it)
        self.conv_dim = conv_dim
        self.fc = nn.Linear(z_size, conv_dim * 4 * 4 * 4)
        self.deconv1 = deconv(conv_dim * 4, conv_dim * 2, 4)
        self.deconv2 = deconv(conv_dim * 2, conv_dim, 4)
        self.deconv3 = deconv(conv_dim, 3, 4, batch_norm=False)

    def raw(self, z):
        x = self.fc(z).view(-1, self.conv_dim * 4, 4, 4)
        x = F.relu(self.deconv1(x))
        x = F.relu(self.deconv2(x))
        return self.deconv3(x)

    def forward(self, z):
        return torch.tanh(self.raw(z))


class SizedG(EarlierG):
    """The same with z_size: what the sound and the wrong answers below start from."""

    def __init__(self, z_size, conv_dim):
        super().__init__(z_size, conv_dim)
        self.z_size = z_size


class TutorialG(nn.Module):
    def __init__(self, z_size, conv_dim):
        super().__init__()
        c, self.z_size = conv_dim, z_size
        self.main = nn.Sequential(
            nn.ConvTranspose2d(z_size, 4 * c, 4, 1, 0, bias=False),
            nn.BatchNorm2d(4 * c),
            nn.ReLU(True),
            nn.ConvTranspose2d(4 * c, 2 * c, 4, 2, 1, bias=False),
            nn.BatchNorm2d(2 * c),
            nn.ReLU(True),
            nn.ConvTranspose2d(2 * c, c, 4, 2, 1, bias=False),
            nn.BatchNorm2d(c),
            nn.ReLU(True),
            nn.ConvTranspose2d(c, 3, 4, 2, 1, bias=False),
            nn.Tanh(),
        )

    def forward(self, z):
        return self.main(z.view(z.size(0), -1, 1, 1))


class ResizeG(nn.Module):
    def __init__(self, z_size, conv_dim):
        super().__init__()
        c, self.z_size, self.c = conv_dim, z_size, conv_dim
        self.fc = nn.Linear(z_size, 4 * c * 16)
        self.main = nn.Sequential(
            nn.BatchNorm2d(4 * c),
            nn.ReLU(),
            nn.Upsample(scale_factor=2),
            nn.Conv2d(4 * c, 2 * c, 3, padding=1),
            nn.BatchNorm2d(2 * c),
            nn.ReLU(),
            nn.Upsample(scale_factor=2),
            nn.Conv2d(2 * c, c, 3, padding=1),
            nn.BatchNorm2d(c),
            nn.ReLU(),
            nn.Upsample(scale_factor=2),
            nn.Conv2d(c, 3, 3, padding=1),
            nn.Tanh(),
        )

    def forward(self, z):
        return self.main(self.fc(z).view(len(z), -1, 4, 4))


class ShuffleG(nn.Module):
    def __init__(self, z_size, conv_dim):
        super().__init__()
        self.z_size, self.c = z_size, conv_dim
        self.fc, self.norm = nn.Linear(z_size, conv_dim * 64), nn.BatchNorm2d(conv_dim)
        self.a, self.b = nn.Conv2d(conv_dim, 4 * conv_dim, 3, padding=1), nn.Conv2d(conv_dim, 12, 3, padding=1)

    def forward(self, z):
        x = F.relu(self.norm(self.fc(z).view(-1, self.c, 8, 8)))
        return torch.tanh(F.pixel_shuffle(self.b(F.pixel_shuffle(self.a(x), 2)), 2))


class PixelNormG(SizedG):
    def forward(self, z):
        return super().forward(z / z.square().mean(1, keepdim=True).add(1e-8).sqrt())


class SpectralG(SizedG):
    def __init__(self, z_size, conv_dim):
        super().__init__(z_size, conv_dim)
        self.fc, self.deconv3 = spectral_norm(self.fc), spectral_norm(nn.ConvTranspose2d(conv_dim, 3, 4, 2, 1))


class DropoutG(SizedG):
    def __init__(self, z_size, conv_dim):
        super().__init__(z_size, conv_dim)
        self.dropout = nn.Dropout(0.1)

    def raw(self, z):
        x = self.dropout(self.fc(z)).view(-1, self.conv_dim * 4, 4, 4)
        return self.deconv3(F.relu(self.deconv2(F.relu(self.deconv1(x)))))


class NormedVectorG(SizedG):
    def __init__(self, z_size, conv_dim):
        super().__init__(z_size, conv_dim)
        self.fc = nn.Sequential(nn.Linear(z_size, conv_dim * 64), nn.BatchNorm1d(conv_dim * 64), nn.ReLU())


class HardTanhG(SizedG):
    def forward(self, z):
        return F.hardtanh(self.raw(z))


class SigmoidStretchedG(SizedG):
    def forward(self, z):
        return 2 * torch.sigmoid(self.raw(z)) - 1


class SmallStartG(SizedG):
    def __init__(self, z_size, conv_dim):
        super().__init__(z_size, conv_dim)
        for parameter in self.parameters():
            if parameter.ndim > 1:
                nn.init.normal_(parameter, 0, 0.02)


class DeepG(SizedG):
    def __init__(self, z_size, conv_dim):
        super().__init__(z_size, conv_dim)
        self.extra1, self.extra2 = (conv(conv_dim, conv_dim, 3, stride=1) for _ in range(2))

    def raw(self, z):
        x = self.fc(z).view(-1, self.conv_dim * 4, 4, 4)
        x = F.relu(self.deconv2(F.relu(self.deconv1(x))))
        return self.deconv3(F.relu(self.extra2(F.relu(self.extra1(x)))))


# Generator: sound, with advice


class LastNormG(SizedG):
    def __init__(self, z_size, conv_dim):
        super().__init__(z_size, conv_dim)
        self.deconv3 = deconv(conv_dim, 3, 4, batch_norm=True)


class NoNormG(SizedG):
    def __init__(self, z_size, conv_dim):
        super().__init__(z_size, conv_dim)
        self.deconv1 = deconv(conv_dim * 4, conv_dim * 2, 4, batch_norm=False)
        self.deconv2 = deconv(conv_dim * 2, conv_dim, 4, batch_norm=False)


class CheckerboardG(SizedG):
    def __init__(self, z_size, conv_dim):
        super().__init__(z_size, conv_dim)
        self.deconv3 = nn.ConvTranspose2d(conv_dim, 3, 5, 2, 2, output_padding=1)


class LittleNoiseG(SizedG):
    def raw(self, z):
        x = super().raw(z)
        return x + 0.01 * x.std() * torch.randn_like(x)


generators.sound("a finished notebook of the earlier edition", EarlierG, advice="z_size")
generators.sound("with z_size", SizedG)
generators.sound("the DCGAN tutorial's", TutorialG)
generators.sound("resize and convolve", ResizeG)
generators.sound("pixel_shuffle", ShuffleG)
generators.sound("z brought to one length", PixelNormG)
generators.sound("spectral norm", SpectralG)
generators.sound("dropout", DropoutG, advice="less dropout than the discriminator")
generators.sound("BatchNorm1d on the first layer", NormedVectorG)
generators.sound("hardtanh", HardTanhG)
generators.sound("a stretched sigmoid", SigmoidStretchedG)
generators.sound("small weights from the start", SmallStartG)
generators.sound("two layers deeper than D", DeepG, EarlierD)
generators.sound("no deeper than D", SizedG, EarlierD, advice="deeper than the discriminator")
generators.sound("BatchNorm on the last layer", LastNormG, advice="BatchNorm on G's last layer")
generators.sound("no normalisation", NoNormG, advice="no normalisation")
generators.sound("kernel 5, stride 2", CheckerboardG, advice="checkerboards")
generators.sound("a little noise besides z", LittleNoiseG, advice="same z")


# Generator: wrong


class NoTanhG(SizedG):
    def forward(self, z):
        return self.raw(z)


class SigmoidG(SizedG):
    def forward(self, z):
        return torch.sigmoid(self.raw(z))


class HalfRangeG(SizedG):
    def forward(self, z):
        return torch.tanh(self.raw(z)) / 2


class BytesG(SizedG):
    def forward(self, z):
        return (torch.tanh(self.raw(z)) + 1) * 127.5


class ReluOutputG(SizedG):
    def forward(self, z):
        return F.relu(torch.tanh(self.raw(z)))


class SaturatedG(SizedG):
    def forward(self, z):
        return torch.tanh(1e4 * self.raw(z))


class SignG(SizedG):
    def forward(self, z):
        x = self.raw(z)
        return x / (x.abs() + 1e-12)


class SmallG(SizedG):
    def __init__(self, z_size, conv_dim):
        super().__init__(z_size, conv_dim)
        self.deconv3 = nn.Conv2d(conv_dim, 3, 3, padding=1)


class LargeG(SizedG):
    def forward(self, z):
        return F.interpolate(super().forward(z), scale_factor=2)


class GreyG(SizedG):
    def __init__(self, z_size, conv_dim):
        super().__init__(z_size, conv_dim)
        self.deconv3 = deconv(conv_dim, 1, 4, batch_norm=False)


class FourChannelsG(SizedG):
    def __init__(self, z_size, conv_dim):
        super().__init__(z_size, conv_dim)
        self.deconv3 = deconv(conv_dim, 4, 4, batch_norm=False)


class VectorG(SizedG):
    def forward(self, z):
        return super().forward(z).flatten(1)


class ZIgnoredG(SizedG):
    def forward(self, z):
        return super().forward(torch.ones_like(z))


class ZRedrawnG(SizedG):
    def forward(self, z):
        return super().forward(torch.randn_like(z))


class ZRedrawnUniformG(SizedG):
    def forward(self, z):
        return super().forward(torch.from_numpy(np.random.uniform(-1, 1, size=tuple(z.shape))).to(z))


class ZFixedG(SizedG):
    def __init__(self, z_size, conv_dim):
        super().__init__(z_size, conv_dim)
        self.z = torch.randn(1, z_size)

    def forward(self, z):
        return super().forward(self.z.expand(len(z), -1))


class ZSlicedG(SizedG):
    def forward(self, z):
        return super().forward(torch.cat([z[:, :10], torch.zeros_like(z[:, 10:])], 1))


class ZSizeIgnoredG(SizedG):
    def __init__(self, z_size, conv_dim):
        super().__init__(100, conv_dim)


class ZAsMapG(TutorialG):
    def forward(self, z):
        return self.main(z)


class FixedWidthG(SizedG):
    def __init__(self, z_size, conv_dim):
        super().__init__(z_size, 32)


class FixedBatchG(SizedG):
    def raw(self, z):
        x = self.fc(z).view(64, self.conv_dim * 4, 4, 4)
        return self.deconv3(F.relu(self.deconv2(F.relu(self.deconv1(x)))))


class BatchStatisticsG(SizedG):
    def __init__(self, z_size, conv_dim):
        super().__init__(z_size, conv_dim)
        self.deconv1[1] = nn.BatchNorm2d(conv_dim * 2, track_running_stats=False)


class ListG(nn.Module):
    def __init__(self, z_size, conv_dim):
        super().__init__()
        self.z_size, self.fc = z_size, nn.Linear(z_size, conv_dim * 64)
        self.layers = [deconv(conv_dim, conv_dim, 4), deconv(conv_dim, 3, 4, batch_norm=False)]
        self.c = conv_dim

    def forward(self, z):
        x = self.fc(z).view(-1, self.c, 8, 8)
        return torch.tanh(self.layers[1](F.relu(self.layers[0](x))))


class UnusedG(SizedG):
    def __init__(self, z_size, conv_dim):
        super().__init__(z_size, conv_dim)
        self.deconv4 = deconv(conv_dim, conv_dim, 4)


class DetachedG(SizedG):
    def forward(self, z):
        return super().forward(z).detach()


class HalfDetachedG(SizedG):
    def raw(self, z):
        x = F.relu(self.deconv1(self.fc(z).view(-1, self.conv_dim * 4, 4, 4))).data
        return self.deconv3(F.relu(self.deconv2(x)))


class NumpyG(SizedG):
    def forward(self, z):
        return torch.from_numpy(np.tanh(self.raw(z).detach().numpy()))


class ArgumentsSwappedG(SizedG):
    def __init__(self, conv_dim, z_size):
        super().__init__(z_size, conv_dim)


class NoNormalisationInEvalG(SizedG):
    def raw(self, z):
        x = super().raw(z)
        return (x - x.mean(0)) / (x.std(0) + 1e-5) if self.training else x * float("nan")


class WrongViewG(SizedG):
    def raw(self, z):
        return self.deconv1(self.fc(z).view(-1, self.conv_dim * 4, 5, 5))


generators.wrong("no tanh", NoTanhG, says="tanh")
generators.wrong("sigmoid", SigmoidG, says="sigmoid")
generators.wrong("half of the range", HalfRangeG, says="-0.5")
generators.wrong("0 to 255", BytesG)
generators.wrong("relu after tanh", ReluOutputG)
generators.wrong("saturated", SaturatedG, says="stuck")
generators.wrong("only -1 and 1", SignG, says="stuck")
generators.wrong("16 x 16", SmallG, says="(7, 3, 16, 16)")
generators.wrong("64 x 64", LargeG, says="(7, 3, 64, 64)")
generators.wrong("grey", GreyG, says="(7, 1, 32, 32)")
generators.wrong("four channels", FourChannelsG, says="(7, 4, 32, 32)")
generators.wrong("flattened", VectorG, says="(7, 3072)")
generators.wrong("z ignored", ZIgnoredG, says="the same image for every z")
generators.wrong("z redrawn", ZRedrawnG, says="another image each time")
generators.wrong("z redrawn with numpy", ZRedrawnUniformG, says="another image each time")
generators.wrong("z fixed", ZFixedG, says="the same image for every z")
generators.wrong("only ten numbers of z", ZSlicedG, says="90 of 100")
generators.wrong("z_size ignored", ZSizeIgnoredG, says="(20, 16)")
generators.wrong("z as (B, z_size, 1, 1)", ZAsMapG)
generators.wrong("conv_dim ignored", FixedWidthG, says="conv_dim")
generators.wrong("batch size fixed", FixedBatchG, says="view")
generators.wrong("BatchNorm without running statistics", BatchStatisticsG, says="neighbours")
generators.wrong("layers in a list", ListG, says="nn.ModuleList")
generators.wrong("a layer that is not used", UnusedG, says="deconv4")
generators.wrong("detached", DetachedG, says="cut off")
generators.wrong("cut in the middle", HalfDetachedG)
generators.wrong("through numpy", NumpyG)
generators.wrong("arguments swapped", ArgumentsSwappedG)
generators.wrong("nan in eval mode", NoNormalisationInEvalG, says="finite")
generators.wrong("a view that does not fit", WrongViewG, says="line")


class UnwrittenInitG(nn.Module):
    def __init__(self, z_size, conv_dim):
        super().__init__()
        raise NotImplementedError()


class TemplateG(nn.Module):
    def __init__(self, z_size, conv_dim):
        super().__init__()

    def forward(self, x):
        return x


class EmptyForwardG(SizedG):
    def forward(self, z): ...


generators.not_begun("NotImplementedError", UnwrittenInitG)
generators.not_begun("the earlier edition's template", TemplateG)
generators.not_begun("an empty forward", EmptyForwardG)


# weights_init_normal


def by_name(m):
    """The usual answer."""
    classname = m.__class__.__name__
    if hasattr(m, "weight") and (classname.find("Conv") != -1 or classname.find("Linear") != -1):
        nn.init.normal_(m.weight.data, 0.0, 0.02)
        if hasattr(m, "bias") and m.bias is not None:
            nn.init.constant_(m.bias.data, 0.0)


def by_type(m):
    if isinstance(m, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
        m.weight.data.normal_(0.0, 0.02)


def by_shape(m):
    if getattr(m, "weight", None) is not None and m.weight.ndim > 1:
        with torch.no_grad():
            m.weight.copy_(0.02 * torch.randn_like(m.weight))


def with_numpy(m):
    if "Conv" in type(m).__name__ or "Linear" in type(m).__name__:
        m.weight.data = torch.from_numpy(np.random.normal(0, 0.02, size=tuple(m.weight.shape))).float()


def tutorial(m):
    classname = m.__class__.__name__
    if classname.find("Conv") != -1 or classname.find("Linear") != -1:
        nn.init.normal_(m.weight.data, 0.0, 0.02)
    elif classname.find("BatchNorm") != -1:
        nn.init.normal_(m.weight.data, 1.0, 0.02)
        nn.init.constant_(m.bias.data, 0)


def norm_constant(m):
    by_type(m)
    if isinstance(m, (nn.BatchNorm1d, nn.BatchNorm2d)):
        nn.init.ones_(m.weight)
        nn.init.zeros_(m.bias)


def wide_truncation(m):
    if isinstance(m, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
        nn.init.trunc_normal_(m.weight, std=0.02)  # cut at -2 and 2, a hundred standard deviations away


def parameter_replaced(m):
    if isinstance(m, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
        m.weight = nn.Parameter(torch.randn_like(m.weight) * 0.02)


initials.sound("by class name", by_name)
initials.sound("by type, biases left alone", by_type)
initials.sound("by shape", by_shape)
initials.sound("with numpy", with_numpy)
initials.sound("BatchNorm set to 1 and 0", norm_constant)
initials.sound("trunc_normal_ with far limits", wide_truncation)
initials.sound("a new Parameter", parameter_replaced)
initials.sound("the DCGAN tutorial's", tutorial, advice="DCGAN tutorial")


def initial(draw, kinds=(nn.Conv2d, nn.ConvTranspose2d, nn.Linear), bias=None):
    """An answer that draws the weights of some kinds of layers."""

    def weights_init_normal(m):
        if isinstance(m, kinds):
            draw(m.weight.data)
            if bias is not None and m.bias is not None:
                bias(m.bias.data)

    return weights_init_normal


def normal(weight):
    nn.init.normal_(weight, 0.0, 0.02)


def everything_with_weight(m):
    if hasattr(m, "weight"):
        nn.init.normal_(m.weight.data, 0.0, 0.02)


def norm_to_zero(m):
    by_type(m)
    if isinstance(m, nn.BatchNorm2d):
        nn.init.zeros_(m.weight)


def no_bias_asked(m):
    if isinstance(m, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
        nn.init.normal_(m.weight, 0.0, 0.02)
        m.bias.data.fill_(0)


def names_exactly(m):
    if m.__class__.__name__ == "Conv2d":
        nn.init.normal_(m.weight, 0.0, 0.02)


def nothing_written(m):
    if isinstance(m, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
        m.weight.clone().normal_(0.0, 0.02)


def leaf_in_place(m):
    if isinstance(m, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
        m.weight.normal_(0.0, 0.02)


def initial_not_written(m):
    raise NotImplementedError()


def initial_empty(m):
    pass


initials.wrong("mean and std swapped", initial(lambda w: w.normal_(0.02, 0.0)), says="std 0")
initials.wrong("mean 1", initial(lambda w: w.normal_(1.0, 0.02)), says="mean 1")
initials.wrong("mean 0.02", initial(lambda w: w.normal_(0.02, 0.02)), says="mean 0.0")
initials.wrong("std 0.2", initial(lambda w: w.normal_(0.0, 0.2)), says="std 0.2")
initials.wrong("std 0.002", initial(lambda w: w.normal_(0.0, 0.002)), says="std 0.002")
initials.wrong("std 1", initial(lambda w: w.normal_()), says="std 1")
initials.wrong("variance instead of std", initial(lambda w: w.normal_(0.0, math.sqrt(0.02))), says="variance")
initials.wrong("uniform, std 0.02", initial(lambda w: w.uniform_(-0.02 * 3**0.5, 0.02 * 3**0.5)), says="distribution")
initials.wrong("uniform up to 0.02", initial(lambda w: w.uniform_(-0.02, 0.02)), says="std 0.01")
initials.wrong("truncated at two std", initial(lambda w: nn.init.trunc_normal_(w, 0, 0.02, -0.04, 0.04)))
initials.wrong("xavier", initial(nn.init.xavier_normal_))
initials.wrong("kaiming", initial(nn.init.kaiming_normal_))
initials.wrong("constant", initial(lambda w: w.fill_(0.02)), says="std 0")
initials.wrong("two values", initial(lambda w: w.copy_(0.02 * torch.randn_like(w).sign())), says="distribution")
initials.wrong("transposed layers forgotten", initial(normal, (nn.Conv2d, nn.Linear)), says="ConvTranspose2d")
initials.wrong("linear layers forgotten", initial(normal, (nn.Conv2d, nn.ConvTranspose2d)), says="Linear")
initials.wrong("convolutions forgotten", initial(normal, nn.Linear), says="Conv2d")
initials.wrong("only Conv2d, by its whole name", names_exactly, says="left as they were")
initials.wrong("biases are noise", initial(normal, bias=normal), says="biases")
initials.wrong("biases of one", initial(normal, bias=lambda b: b.fill_(1.0)), says="biases")
initials.wrong("BatchNorm around zero", everything_with_weight, says="BatchNorm")
initials.wrong("BatchNorm at zero", norm_to_zero, says="BatchNorm")
initials.wrong("every layer has a bias", no_bias_asked, says="m.bias is not None")
initials.wrong("in place on a leaf", leaf_in_place, says="line")
initials.wrong("a copy is drawn, nothing written", nothing_written, says="a copy does not")
initials.not_begun("NotImplementedError", initial_not_written)
initials.not_begun("only pass", initial_empty)


# More of all three, odd but sound or subtly wrong


class LazyD(Sequential):
    def __init__(self, conv_dim):
        super().__init__(
            nn.LazyConv2d(conv_dim, 4, 2, 1),
            slope(),
            nn.LazyConv2d(2 * conv_dim, 4, 2, 1),
            nn.LazyBatchNorm2d(),
            slope(),
            nn.Flatten(),
            nn.LazyLinear(1),
        )


class WeightNormD(Sequential):
    def __init__(self, conv_dim):
        norm = nn.utils.weight_norm  # the older function, whose modules cannot be copied
        super().__init__(
            norm(nn.Conv2d(3, conv_dim, 4, 2, 1)), slope(), nn.Flatten(), norm(nn.Linear(conv_dim * 256, 1))
        )


class AttentionD(EarlierD):
    """Self-attention whose share starts at 0, as in SAGAN: at first no gradient gets into it."""

    def __init__(self, conv_dim):
        super().__init__(conv_dim)
        c = 4 * conv_dim
        self.query, self.key, self.value = nn.Conv2d(c, c // 8, 1), nn.Conv2d(c, c // 8, 1), nn.Conv2d(c, c, 1)
        self.gamma = nn.Parameter(torch.zeros(1))

    def features(self, x):
        x = super().features(x)
        weights = torch.softmax(self.query(x).flatten(2).transpose(1, 2) @ self.key(x).flatten(2), dim=-1)
        return x + self.gamma * (self.value(x).flatten(2) @ weights.transpose(1, 2)).view(x.shape)


class CheckpointD(EarlierD):
    def features(self, x):
        return torch.utils.checkpoint.checkpoint(super().features, x, use_reentrant=False)


class NoisyInTrainingD(EarlierD):
    def forward(self, x):
        return super().forward(x + 0.1 * torch.randn_like(x) if self.training else x)


class PadAndCropD(EarlierD):
    def features(self, x):
        return super().features(F.pad(x, (2, 2, 2, 2))[:, :, 2:-2, 2:-2])


class FunctionalD(nn.Module):
    def __init__(self, conv_dim):
        super().__init__()
        self.a = nn.Parameter(0.1 * torch.randn(conv_dim, 3, 4, 4))
        self.b = nn.Parameter(0.1 * torch.randn(conv_dim * 256, 1))
        self.norm = nn.BatchNorm2d(conv_dim)

    def forward(self, x):
        return F.leaky_relu(self.norm(F.conv2d(x, self.a, stride=2, padding=1)), 0.2).flatten(1) @ self.b


class LinearD(Sequential):
    def __init__(self, conv_dim):
        super().__init__(
            nn.Flatten(), nn.Linear(3072, conv_dim), nn.LayerNorm(conv_dim), slope(), nn.Linear(conv_dim, 1)
        )


class HalfImageD(EarlierD):
    def __init__(self, conv_dim):
        super().__init__(conv_dim)
        self.fc = nn.Linear(conv_dim * 4 * 8, 1)

    def forward(self, x):
        return self.fc(self.features(x[:, :, :16]).flatten(1))


class BlurD(EarlierD):
    def features(self, x):
        return F.avg_pool2d(super().features(x), 3, stride=1, padding=1)


class SumD(MeanD):
    def forward(self, x):
        return self.fc(self.features(x).sum((2, 3)))


class EinsumD(MeanD):
    def forward(self, x):
        return self.fc(torch.einsum("bchw->bc", self.features(x)))


class HardD(EarlierD):
    def forward(self, x):
        return (super().forward(x) > 0).float()


class LooseWeightD(nn.Module):
    """A weight that is neither a Parameter nor a buffer."""

    def __init__(self, conv_dim, learns=False):
        super().__init__()
        self.weight = torch.randn(conv_dim, 3, 4, 4, requires_grad=learns)
        self.fc = nn.Linear(conv_dim * 256, 1)

    def forward(self, x):
        return self.fc(F.leaky_relu(F.conv2d(x, self.weight, stride=2, padding=1), 0.2).flatten(1))


class LooseLearningD(LooseWeightD):
    def __init__(self, conv_dim):
        super().__init__(conv_dim, learns=True)


class DictionaryD(nn.Module):
    def __init__(self, conv_dim):
        super().__init__()
        self.layers = {"first": nn.Linear(3072, conv_dim)}
        self.fc = nn.Linear(conv_dim, 1)

    def forward(self, x):
        return self.fc(F.leaky_relu(self.layers["first"](x.flatten(1)), 0.2))


class TwoResultsD(EarlierD):
    def forward(self, x):
        out = super().forward(x)
        return torch.sigmoid(out), out


class TransposedD(EarlierD):
    def forward(self, x):
        return super().forward(x).T


class StretchedD(EarlierD):
    def forward(self, x):
        out = super().forward(x)
        return (out - out.min()) / (out.max() - out.min() + 1e-8)


discriminators.sound("lazy layers", LazyD)
discriminators.sound("weight norm", WeightNormD)
discriminators.sound("attention with a share of 0", AttentionD)
discriminators.sound("gradient checkpoints", CheckpointD)
discriminators.sound("noise in training", NoisyInTrainingD)
discriminators.sound("padded and cut", PadAndCropD)
discriminators.sound("weights without layers", FunctionalD, advice="BatchNorm on D's first layer")
discriminators.sound("linear layers only", LinearD, advice="stride")
discriminators.wrong("half of the image", HalfImageD, says="50% of the pixels")
discriminators.wrong("pooling with stride 1", BlurD, says="pooling")
discriminators.wrong("sum over the picture", SumD, says="pooling: sum")
discriminators.wrong("sum by einsum", EinsumD, says="pooling: einsum")
discriminators.wrong("0 or 1", HardD, says="cut off")
discriminators.wrong("a tensor as weight", LooseWeightD, says="(16, 3, 4, 4)")
discriminators.wrong("a learning tensor as weight", LooseLearningD, says="(16, 3, 4, 4)")
discriminators.wrong("layers in a dictionary", DictionaryD, says="nn.ModuleList")
discriminators.wrong("two results", TwoResultsD, says="a tuple of 2")
discriminators.wrong("(1, B)", TransposedD, says="(1, 7)")
discriminators.wrong("stretched by the batch", StretchedD, says="neighbours")


class LazyG(nn.Module):
    def __init__(self, z_size, conv_dim):
        super().__init__()
        self.z_size = z_size
        self.main = nn.Sequential(
            nn.LazyLinear(conv_dim * 64),
            nn.Unflatten(1, (conv_dim, 8, 8)),
            nn.LazyBatchNorm2d(),
            nn.ReLU(),
            nn.LazyConvTranspose2d(conv_dim, 4, 2, 1),
            nn.LazyBatchNorm2d(),
            nn.ReLU(),
            nn.LazyConvTranspose2d(3, 4, 2, 1),
            nn.Tanh(),
        )

    def forward(self, z):
        return self.main(z)


class StyleG(nn.Module):
    """A learned constant that z modulates, and noise with a share that starts at 0."""

    def __init__(self, z_size, conv_dim):
        super().__init__()
        self.z_size = z_size
        self.constant = nn.Parameter(torch.randn(1, conv_dim, 8, 8))
        self.style, self.share = nn.Linear(z_size, 2 * conv_dim), nn.Parameter(torch.zeros(1))
        self.conv, self.to_rgb = nn.Conv2d(conv_dim, conv_dim, 3, padding=1), nn.Conv2d(conv_dim, 3, 3, padding=1)

    def forward(self, z):
        scale, shift = self.style(z)[:, :, None, None].chunk(2, dim=1)
        x = F.instance_norm(self.conv(self.constant.expand(len(z), -1, -1, -1))) * (1 + scale) + shift
        x = F.leaky_relu(x + self.share * torch.randn_like(x[:, :1]), 0.2)
        return torch.tanh(self.to_rgb(F.interpolate(x, scale_factor=4, mode="bilinear")))


class LinearG(nn.Module):
    def __init__(self, z_size, conv_dim):
        super().__init__()
        self.z_size = z_size
        self.main = nn.Sequential(
            nn.Linear(z_size, conv_dim), nn.BatchNorm1d(conv_dim), nn.ReLU(), nn.Linear(conv_dim, 3072)
        )

    def forward(self, z):
        return torch.tanh(self.main(z)).view(-1, 3, 32, 32)


class SoftsignG(SizedG):
    def forward(self, z):
        return F.softsign(self.raw(z))


class FirstZG(SizedG):
    def forward(self, z):
        return super().forward(z[:1].expand(len(z), -1))


class TanhTwiceG(SizedG):
    def forward(self, z):
        return torch.tanh(torch.tanh(self.raw(z)))


class StretchedG(SizedG):
    def forward(self, z):
        x = self.raw(z)
        return 2 * (x - x.min()) / (x.max() - x.min()) - 1


class RoundedZG(SizedG):
    def forward(self, z):
        return super().forward(z.round())


class ZeroToOneG(SizedG):
    def forward(self, z):
        return (super().forward(z) + 1) / 2


class ChannelsLastG(SizedG):
    def forward(self, z):
        return super().forward(z).permute(0, 2, 3, 1)


generators.sound("lazy layers", LazyG)
generators.sound("a constant modulated by z", StyleG)
generators.sound("linear layers only", LinearG)
generators.sound("softsign", SoftsignG)
generators.wrong("the first z for all", FirstZG, says="neighbours")
generators.wrong("tanh twice", TanhTwiceG, says="0.76")
generators.wrong("stretched by the batch", StretchedG, says="neighbours")
generators.wrong("z rounded", RoundedZG, says="100 of 100")
generators.wrong("0 to 1", ZeroToOneG, says="from 0 to 1")
generators.wrong("channels last", ChannelsLastG, says="(7, 32, 32, 3)")


def own_parameters(m):
    for parameter in m.parameters(recurse=False):
        if parameter.ndim > 1:
            nn.init.normal_(parameter, 0.0, 0.02)


def with_try(m):
    try:
        if m.weight.dim() > 1:
            m.weight.data = torch.normal(0.0, 0.02, m.weight.shape)
    except AttributeError:
        pass


def recursive(m):
    for part in m.modules():
        by_name(part)


initials.sound("by the layer's own parameters", own_parameters)
initials.sound("by trying", with_try)
initials.sound("into its parts as well", recursive)
initials.wrong("added to what was there", initial(lambda w: w.add_(0.02 * torch.randn_like(w))), says="mean 0.4")
initials.wrong("no negative weights", initial(lambda w: w.normal_(0, 0.02).abs_()), says="mean 0.01")
initials.wrong("the first filter only", initial(lambda w: w[0].normal_(0, 0.02)))
initials.wrong("every filter alike", initial(lambda w: w.copy_(0.02 * torch.randn_like(w[:1]).expand_as(w))))
initials.wrong(
    "a Laplace distribution",
    initial(lambda w: w.copy_(torch.distributions.Laplace(0.0, 0.02 / 2**0.5).sample(w.shape))),
    says="distribution",
)
