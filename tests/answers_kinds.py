"""Discriminators and generators of further kinds: other layers, layers by hand, compiled, and subtler faults."""

import torch
import torch.nn.functional as F
from answers import Answers
from answers_networks import EarlierD, EarlierDropoutD, MeanD, SizedG, TutorialD, conv, deconv, slope
from answers_training import real_logits, real_squares
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm, weight_norm

discriminators = Answers(
    "test_discriminator", aside=("D has no dropout", "one kernel size", "other than BatchNorm", "D has no LeakyReLU")
)
generators = Answers("test_generator", aside=("a last layer of stride 1", "other layers in their place"))


# Discriminators


class FullD(EarlierDropoutD):
    """All that the rubric asks for."""

    def __init__(self, conv_dim):
        super().__init__(conv_dim)
        self.dropout = nn.Dropout(0.2)


class MaxoutD(EarlierD):
    """The largest of each pair of channels in place of LeakyReLU."""

    def __init__(self, conv_dim):
        super().__init__(conv_dim)
        self.conv1 = conv(3, 2 * conv_dim, 4, batch_norm=False)
        self.conv2 = conv(conv_dim, 4 * conv_dim, 4)
        self.conv3 = conv(2 * conv_dim, 8 * conv_dim, 4)

    def features(self, x):
        for layer in (self.conv1, self.conv2, self.conv3):
            x = layer(x)
            x = x.view(x.size(0), -1, 2, *x.shape[2:]).amax(2)
        return x


class MaxoutOfHalvesD(MaxoutD):
    def features(self, x):
        for layer in (self.conv1, self.conv2, self.conv3):
            x = layer(x)
            x = x.view(x.size(0), 2, -1, *x.shape[2:]).max(dim=1).values
        return x


class GatedD(EarlierD):
    """Squeeze and excite (Hu et al., 2018)."""

    def __init__(self, conv_dim, squeeze=lambda x: x.mean((2, 3))):
        super().__init__(conv_dim)
        self.squeeze, c = squeeze, 4 * conv_dim
        self.gate = nn.Sequential(nn.Linear(c, c // 4), nn.ReLU6(), nn.Linear(c // 4, c), nn.Sigmoid())

    def features(self, x):
        x = super().features(x)
        return x * self.gate(self.squeeze(x))[:, :, None, None]


class PooledGateD(GatedD):
    def __init__(self, conv_dim):
        super().__init__(conv_dim, lambda x: F.adaptive_avg_pool2d(x, 1).flatten(1))


class FlatGateD(GatedD):
    def __init__(self, conv_dim):
        super().__init__(conv_dim, lambda x: x.flatten(2).mean(2))


class InstanceByHandD(EarlierD):
    def __init__(self, conv_dim):
        super().__init__(conv_dim)
        self.conv2 = conv(conv_dim, conv_dim * 2, 4, batch_norm=False)
        self.conv3 = conv(conv_dim * 2, conv_dim * 4, 4, batch_norm=False)

    def features(self, x):
        x = F.leaky_relu(self.conv1(x), 0.2)
        for layer in (self.conv2, self.conv3):
            x = layer(x)
            mean = x.mean((2, 3), keepdim=True)
            x = F.leaky_relu((x - mean) / (x.var((2, 3), keepdim=True) + 1e-5).sqrt(), 0.2)
        return x


class WeightsByHandD(nn.Module):
    """Weights divided by their length, in forward."""

    def __init__(self, conv_dim):
        super().__init__()
        self.a = nn.Parameter(torch.randn(conv_dim, 3, 4, 4))
        self.b = nn.Parameter(torch.randn(2 * conv_dim, conv_dim, 4, 4))
        self.fc = nn.Linear(2 * conv_dim * 64, 1)

    def forward(self, x):
        for weight in (self.a, self.b):
            length = weight.square().sum((1, 2, 3), keepdim=True).sqrt()
            x = F.leaky_relu(F.conv2d(x, weight / length, stride=2, padding=1), 0.2)
        return self.fc(x.flatten(1))


class ProductAndSumD(EarlierD):
    """The last layer as a product and a sum."""

    def __init__(self, conv_dim):
        super().__init__(conv_dim)
        del self.fc
        self.weight, self.bias = nn.Parameter(0.1 * torch.randn(4 * conv_dim, 4, 4)), nn.Parameter(torch.zeros(1))

    def forward(self, x):
        return (self.features(x) * self.weight).sum((1, 2, 3))[:, None] + self.bias


class FlatProductAndSumD(ProductAndSumD):
    def forward(self, x):
        return (self.features(x).flatten(1) * self.weight.flatten()).sum(1, keepdim=True) + self.bias


class BesideAPoolD(EarlierD):
    """A strided convolution, and beside it a pool of the same: no place is lost."""

    def __init__(self, conv_dim):
        super().__init__(conv_dim)
        self.conv2 = conv(conv_dim, conv_dim, 4)

    def features(self, x):
        x = F.leaky_relu(self.conv1(x), 0.2)
        x = F.leaky_relu(torch.cat([self.conv2(x), F.max_pool2d(x, 2)], 1), 0.2)
        return F.leaky_relu(self.conv3(x), 0.2)


class NewerWeightNormD(EarlierD):
    def __init__(self, conv_dim):
        super().__init__(conv_dim)
        self.conv2 = weight_norm(nn.Conv2d(conv_dim, conv_dim * 2, 4, 2, 1))
        self.conv3 = weight_norm(nn.Conv2d(conv_dim * 2, conv_dim * 4, 4, 2, 1))


class MultiheadD(EarlierD):
    """Self-attention among the 16 places of the last map."""

    def __init__(self, conv_dim):
        super().__init__(conv_dim)
        self.attention = nn.MultiheadAttention(4 * conv_dim, 4, batch_first=True)

    def features(self, x):
        x = super().features(x)
        places = x.flatten(2).transpose(1, 2)
        return x + self.attention(places, places, places)[0].transpose(1, 2).reshape(x.shape)


class ProjectedAttentionD(EarlierD):
    def __init__(self, conv_dim):
        super().__init__(conv_dim)
        self.qkv = nn.Conv2d(4 * conv_dim, 12 * conv_dim, 1)

    def features(self, x):
        x = super().features(x)
        q, k, v = (part.flatten(2).transpose(1, 2) for part in self.qkv(x).chunk(3, dim=1))
        return x + F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(x.shape)


class GroupNormD(EarlierD):
    def __init__(self, conv_dim):
        super().__init__(conv_dim)
        self.conv2 = nn.Sequential(nn.Conv2d(conv_dim, 2 * conv_dim, 4, 2, 1), nn.GroupNorm(8, 2 * conv_dim))
        self.conv3 = nn.Sequential(nn.Conv2d(2 * conv_dim, 4 * conv_dim, 4, 2, 1), nn.GroupNorm(8, 4 * conv_dim))


class SeparableD(EarlierD):
    def __init__(self, conv_dim):
        super().__init__(conv_dim)
        self.conv2 = nn.Sequential(
            nn.Conv2d(conv_dim, conv_dim, 4, 2, 1, groups=conv_dim),
            nn.Conv2d(conv_dim, 2 * conv_dim, 1),
            nn.BatchNorm2d(2 * conv_dim),
        )


class PatchesD(nn.Module):
    """Patches, a layer of a transformer, and a linear layer over all of them."""

    def __init__(self, conv_dim):
        super().__init__()
        self.patches = nn.Conv2d(3, 2 * conv_dim, 8, 8)
        self.places = nn.Parameter(0.02 * torch.randn(16, 2 * conv_dim))
        self.layer = nn.TransformerEncoderLayer(2 * conv_dim, 4, 4 * conv_dim, 0.1, F.gelu, batch_first=True)
        self.fc = nn.Linear(32 * conv_dim, 1)

    def forward(self, x):
        x = self.layer(self.patches(x).flatten(2).transpose(1, 2) + self.places)
        return self.fc(x.flatten(1))


class PReLUD(EarlierD):
    def __init__(self, conv_dim):
        super().__init__(conv_dim)
        self.act = nn.ModuleList([nn.PReLU(init=0.2) for _ in range(3)])

    def features(self, x):
        return self.act[2](self.conv3(self.act[1](self.conv2(self.act[0](self.conv1(x))))))


class SiluD(EarlierD):
    def features(self, x):
        return F.silu(self.conv3(F.silu(self.conv2(F.silu(self.conv1(x))))))


class CompiledPartD(EarlierD):
    def __init__(self, conv_dim):
        super().__init__(conv_dim)
        self.conv2, self.conv3 = torch.compile(self.conv2), torch.compile(self.conv3)


def compiled_d(conv_dim):
    return torch.compile(FullD(conv_dim))


def compiled_in_place(conv_dim):
    D = FullD(conv_dim)
    D.compile()
    return D


class CriticD(nn.Module):
    """A critic for a gradient penalty: no normalisation."""

    def __init__(self, conv_dim):
        super().__init__()
        self.a, self.b = nn.Conv2d(3, conv_dim, 4, 2, 1), nn.Conv2d(conv_dim, 2 * conv_dim, 4, 2, 1)
        self.fc, self.drop = nn.Linear(128 * conv_dim, 1), nn.Dropout(0.1)

    def forward(self, x):
        x = F.leaky_relu(self.b(F.leaky_relu(self.a(x), 0.2)), 0.2)
        return self.fc(self.drop(x.flatten(1)))


def wasserstein(D_out):
    return -D_out.mean()


class AnySizeD(nn.Module):
    """As many layers as image_size asks for."""

    def __init__(self, conv_dim, image_size=32):
        super().__init__()
        layers, channels = [nn.Conv2d(3, conv_dim, 4, 2, 1), slope()], conv_dim
        while image_size > 8:
            layers += [nn.Conv2d(channels, 2 * channels, 4, 2, 1), nn.BatchNorm2d(2 * channels), slope()]
            channels, image_size = 2 * channels, image_size // 2
        self.main = nn.Sequential(*layers, nn.Dropout(0.2), nn.Conv2d(channels, 1, 4), nn.Flatten())

    def forward(self, x):
        return self.main(x)


class Of64D(EarlierDropoutD):
    """The newer edition's: 64 x 64, and nothing else."""

    def __init__(self, conv_dim):
        super().__init__(conv_dim)
        self.conv4, self.fc = conv(4 * conv_dim, 8 * conv_dim, 4), nn.Linear(8 * conv_dim * 16, 1)

    def forward(self, x):
        return self.fc(self.dropout(F.leaky_relu(self.conv4(self.features(x)), 0.2).flatten(1)))


discriminators.sound("all that the rubric asks for", FullD)
discriminators.sound("maxout", MaxoutD)
discriminators.sound("maxout of halves", MaxoutOfHalvesD)
discriminators.sound("squeeze and excite", GatedD)
discriminators.sound("squeeze and excite, pooled", PooledGateD)
discriminators.sound("squeeze and excite, flattened", FlatGateD)
discriminators.sound("instance normalisation by hand", InstanceByHandD)
discriminators.sound("weight normalisation by hand", WeightsByHandD)
discriminators.sound("a product and a sum at the end", ProductAndSumD)
discriminators.sound("a flat product and a sum at the end", FlatProductAndSumD)
discriminators.sound("a pool beside a convolution", BesideAPoolD)
discriminators.sound("weight norm, newer function", NewerWeightNormD)
discriminators.sound("MultiheadAttention", MultiheadD)
discriminators.sound("scaled_dot_product_attention", ProjectedAttentionD)
discriminators.sound("GroupNorm of groups", GroupNormD)
discriminators.sound("depthwise and pointwise", SeparableD)
discriminators.sound("patches and a transformer", PatchesD)
discriminators.sound("PReLU", PReLUD)
discriminators.sound("SiLU", SiluD)
discriminators.sound("compiled", compiled_d)
discriminators.sound("compiled in place", compiled_in_place)
discriminators.sound("compiled in parts", CompiledPartD)
discriminators.sound("any image_size", AnySizeD)
discriminators.sound("any image_size, at 64", AnySizeD, 64)
discriminators.sound("for 64 x 64 only", Of64D, 64)
discriminators.sound("a critic, with Wasserstein's loss", CriticD, 32, wasserstein)
discriminators.sound("a critic, losses not known", CriticD, advice="no normalisation")
discriminators.sound("no normalisation, with logits", CriticD, 32, real_logits, advice="no normalisation")
discriminators.sound("no normalisation, least squares", CriticD, 32, real_squares, advice="no normalisation")


class DefaultSlopeD(FullD):
    def features(self, x):
        return F.leaky_relu(self.conv3(F.leaky_relu(self.conv2(F.leaky_relu(self.conv1(x))))))


class FirstInstanceNormD(FullD):
    def __init__(self, conv_dim):
        super().__init__(conv_dim)
        self.conv1 = nn.Sequential(nn.Conv2d(3, conv_dim, 4, 2, 1), nn.InstanceNorm2d(conv_dim))


class AlwaysEvalD(FullD):
    """BatchNorm that stays in evaluation mode."""

    def train(self, mode=True):
        super().train(mode)
        self.conv2[1].eval(), self.conv3[1].eval()
        return self


class TanhD(FullD):
    def forward(self, x):
        return torch.tanh(super().forward(x))


class MixedKernelsD(FullD):
    def __init__(self, conv_dim):
        super().__init__(conv_dim)
        self.conv2 = conv(conv_dim, 2 * conv_dim, 6, padding=2)


discriminators.sound("LeakyReLU's default slope", DefaultSlopeD, advice="with a slope of 0.1 to 0.2")
discriminators.sound("InstanceNorm on the first layer", FirstInstanceNormD, advice="InstanceNorm on D's first layer")
discriminators.sound("BatchNorm that never normalises", AlwaysEvalD, advice="never normalise")
discriminators.sound("tanh at the end", TanhD, advice="ends in tanh")
discriminators.sound("two kernel sizes", MixedKernelsD, advice="one kernel size throughout")
discriminators.sound("no dropout", EarlierD, advice="dropout at a low probability")


class NormedScoreD(FullD):
    def __init__(self, conv_dim):
        super().__init__(conv_dim)
        self.norm = nn.BatchNorm1d(1)

    def forward(self, x):
        return self.norm(super().forward(x))


class ReluScoreD(FullD):
    def forward(self, x):
        return F.relu(super().forward(x))


class DropoutScoreD(FullD):
    def forward(self, x):
        return self.dropout(super().forward(x))


class DropoutProbabilityD(FullD):
    def forward(self, x):
        return torch.sigmoid(self.dropout(super().forward(x)))


class ColourBlindD(FullD):
    def forward(self, x):
        return super().forward(x.mean(1, keepdim=True).expand(-1, 3, -1, -1))


class LumaD(FullD):
    """Grey as the eye sees it."""

    def __init__(self, conv_dim):
        super().__init__(conv_dim)
        self.conv1 = conv(1, conv_dim, 4, batch_norm=False)

    def forward(self, x):
        return super().forward(0.299 * x[:, :1] + 0.587 * x[:, 1:2] + 0.114 * x[:, 2:])


class RedOnlyD(FullD):
    def __init__(self, conv_dim):
        super().__init__(conv_dim)
        self.conv1 = conv(1, conv_dim, 4, batch_norm=False)

    def forward(self, x):
        return super().forward(x[:, :1])


class LogSumPoolD(MeanD):
    def forward(self, x):
        return self.fc(self.features(x).logsumexp((2, 3)))


class NormPoolD(MeanD):
    def forward(self, x):
        return self.fc(self.features(x).flatten(2).norm(dim=2))


class WeightedChannelsPoolD(EarlierD):
    """Weights for the channels, but one for all places: still a mean over them."""

    def __init__(self, conv_dim):
        super().__init__(conv_dim)
        del self.fc
        self.weight = nn.Parameter(torch.randn(1, 4 * conv_dim, 1, 1))

    def forward(self, x):
        return (self.features(x) * self.weight).mean((1, 2, 3))[:, None]


class IdleCopyD(MeanD):
    """What is pooled is used once more, to no purpose."""

    def forward(self, x):
        x = self.features(x)
        _ = x + 1
        return self.fc(x.mean((2, 3)))


class MeanAndLargestD(EarlierD):
    def __init__(self, conv_dim):
        super().__init__(conv_dim)
        self.fc = nn.Linear(8 * conv_dim, 1)

    def forward(self, x):
        x = self.features(x)
        return self.fc(torch.cat([x.mean((2, 3)), x.amax((2, 3))], 1))


class VarianceD(MeanD):
    def forward(self, x):
        x = self.features(x)
        return self.fc((x - x.mean((2, 3), keepdim=True)).square().mean((2, 3)))


class MeanTwiceD(MeanD):
    def forward(self, x):
        return self.fc(self.features(x).mean(3).mean(2))


class SpatialGateD(EarlierD):
    """A gate for each place, of the mean and the largest of its channels."""

    def __init__(self, conv_dim):
        super().__init__(conv_dim)
        self.gate = nn.Conv2d(2, 1, 3, padding=1)

    def features(self, x):
        x = super().features(x)
        return x * torch.sigmoid(self.gate(torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], 1)))


class ForgottenReturnD(FullD):
    def forward(self, x):
        x = self.fc(self.features(x).flatten(1))  # noqa: F841


discriminators.wrong("BatchNorm on the value", NormedScoreD, says="BatchNorm on the value")
discriminators.wrong("ReLU on the value", ReluScoreD)
discriminators.wrong("dropout on the value", DropoutScoreD, says="dropout on the value")
discriminators.wrong("dropout before the sigmoid", DropoutProbabilityD, says="dropout on the value")
discriminators.wrong("colours averaged", ColourBlindD, says="colour")
discriminators.wrong("grey as the eye sees it", LumaD, says="colour")
discriminators.wrong("red only", RedOnlyD)
discriminators.wrong("logsumexp over the picture", LogSumPoolD, says="pooling: logsumexp")
discriminators.wrong("length over the picture", NormPoolD, says="pooling")
discriminators.wrong("weights for channels, mean over places", WeightedChannelsPoolD, says="pooling")
discriminators.sound("a gate for each place", SpatialGateD)
discriminators.wrong("a mean, and an idle use beside it", IdleCopyD, says="pooling: mean")
discriminators.wrong("mean and largest over the picture", MeanAndLargestD, says="pooling")
discriminators.wrong("variance over the picture", VarianceD, says="pooling")
discriminators.wrong("mean over rows, then over columns", MeanTwiceD, says="pooling")
discriminators.wrong("return forgotten", ForgottenReturnD, says="`return` forgotten")
discriminators.wrong("32 x 32 given pictures of 64", FullD, 64)
discriminators.wrong("64 x 64 given pictures of 32", Of64D)


# Generators


class WeightNormG(SizedG):
    def __init__(self, z_size, conv_dim):
        super().__init__(z_size, conv_dim)
        self.deconv1 = weight_norm(nn.ConvTranspose2d(conv_dim * 4, conv_dim * 2, 4, 2, 1))
        self.deconv2 = weight_norm(nn.ConvTranspose2d(conv_dim * 2, conv_dim, 4, 2, 1))


class GroupNormG(SizedG):
    def __init__(self, z_size, conv_dim):
        super().__init__(z_size, conv_dim)
        layer = nn.ConvTranspose2d(conv_dim * 4, conv_dim * 2, 4, 2, 1)
        self.deconv1 = nn.Sequential(layer, nn.GroupNorm(4, conv_dim * 2))
        self.deconv2 = nn.Sequential(nn.ConvTranspose2d(conv_dim * 2, conv_dim, 4, 2, 1), nn.GroupNorm(4, conv_dim))


class PixelNormByHandG(SizedG):
    """Every pixel's channels brought to one length (Karras et al., 2018)."""

    def __init__(self, z_size, conv_dim):
        super().__init__(z_size, conv_dim)
        self.deconv1 = deconv(conv_dim * 4, conv_dim * 2, 4, batch_norm=False)
        self.deconv2 = deconv(conv_dim * 2, conv_dim, 4, batch_norm=False)

    def raw(self, z):
        x = self.fc(z).view(-1, self.conv_dim * 4, 4, 4)
        for layer in (self.deconv1, self.deconv2):
            x = layer(x)
            x = F.relu(x * torch.rsqrt(x.square().mean(1, keepdim=True) + 1e-8))
        return self.deconv3(x)


class AttentionG(SizedG):
    """Self-attention whose share starts at 0, as in SAGAN."""

    def __init__(self, z_size, conv_dim):
        super().__init__(z_size, conv_dim)
        self.qkv, self.share = nn.Conv2d(2 * conv_dim, 6 * conv_dim, 1), nn.Parameter(torch.zeros(1))

    def raw(self, z):
        x = F.relu(self.deconv1(self.fc(z).view(-1, self.conv_dim * 4, 4, 4)))
        q, k, v = (part.flatten(2).transpose(1, 2) for part in self.qkv(x).chunk(3, dim=1))
        x = x + self.share * F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(x.shape)
        return self.deconv3(F.relu(self.deconv2(x)))


class BilinearG(nn.Module):
    def __init__(self, z_size, conv_dim):
        super().__init__()
        self.z_size, c = z_size, conv_dim
        self.main = nn.Sequential(
            nn.Linear(z_size, 32 * c),
            nn.Unflatten(1, (2 * c, 4, 4)),
            nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False),
            nn.Conv2d(2 * c, c, 3, padding=1, padding_mode="reflect"),
            nn.BatchNorm2d(c),
            nn.GELU(),
            nn.Upsample(scale_factor=4, mode="bicubic"),
            nn.Conv2d(c, 3, 5, padding=2),
            nn.Tanh(),
        )

    def forward(self, z):
        return self.main(z)


class PixelShuffleG(nn.Module):
    def __init__(self, z_size, conv_dim):
        super().__init__()
        self.z_size = z_size
        self.fc = nn.Sequential(nn.Linear(z_size, conv_dim * 64), nn.Unflatten(1, (conv_dim, 8, 8)))
        self.main = nn.Sequential(
            nn.BatchNorm2d(conv_dim),
            nn.ReLU(),
            nn.Conv2d(conv_dim, 4 * conv_dim, 3, padding=1),
            nn.PixelShuffle(2),
            nn.BatchNorm2d(conv_dim),
            nn.ReLU(),
            spectral_norm(nn.Conv2d(conv_dim, 12, 3, padding=1)),
            nn.PixelShuffle(2),
        )

    def forward(self, z):
        return self.main(self.fc(z)).tanh()


class CompiledPartG(SizedG):
    def __init__(self, z_size, conv_dim):
        super().__init__(z_size, conv_dim)
        self.deconv1 = torch.compile(self.deconv1)


class InjectedG(SizedG):
    """z at every layer (Brock et al., 2019)."""

    def __init__(self, z_size, conv_dim):
        super().__init__(z_size, conv_dim)
        self.to_scale = nn.Linear(z_size, 2 * conv_dim)

    def raw(self, z):
        x = self.deconv1(self.fc(z).view(-1, self.conv_dim * 4, 4, 4)) * (1 + self.to_scale(z)[:, :, None, None])
        return self.deconv3(F.relu(self.deconv2(F.relu(x))))


class TwoToneG(SizedG):
    """Few colours at first: the last layer starts small."""

    def __init__(self, z_size, conv_dim):
        super().__init__(z_size, conv_dim)
        with torch.no_grad():
            self.deconv3[0].weight.mul_(0.01)


def compiled_g(z_size, conv_dim):
    return torch.compile(SizedG(z_size, conv_dim))


class AnySizeG(nn.Module):
    def __init__(self, z_size, conv_dim, image_size=32):
        super().__init__()
        self.z_size, size, channels = z_size, 4, conv_dim * image_size // 8
        layers = [nn.ConvTranspose2d(z_size, channels, 4, bias=False), nn.BatchNorm2d(channels), nn.ReLU()]
        while size < image_size:
            half = channels // 2
            layers += [nn.ConvTranspose2d(channels, half, 4, 2, 1, bias=False), nn.BatchNorm2d(half), nn.ReLU()]
            size, channels = 2 * size, half
        layers += [nn.Conv2d(channels, channels, 3, padding=1), nn.BatchNorm2d(channels), nn.ReLU()]
        self.main = nn.Sequential(*layers, nn.Conv2d(channels, 3, 3, padding=1), nn.Tanh())

    def forward(self, z):
        return self.main(z[:, :, None, None])


class Of64G(SizedG):
    def __init__(self, z_size, conv_dim):
        super().__init__(z_size, conv_dim)
        self.deconv3 = nn.Sequential(deconv(conv_dim, conv_dim, 4), nn.ReLU(), deconv(conv_dim, 3, 4, batch_norm=False))


generators.sound("weight norm", WeightNormG)
generators.sound("GroupNorm", GroupNormG)
generators.sound("pixel normalisation by hand", PixelNormByHandG)
generators.sound("self-attention", AttentionG)
generators.sound("bilinear and bicubic", BilinearG)
generators.sound("PixelShuffle", PixelShuffleG)
generators.sound("z at a further layer", InjectedG)
generators.sound("a small start", TwoToneG)
generators.sound("compiled", compiled_g)
generators.sound("compiled in parts", CompiledPartG)
generators.sound("any image_size", AnySizeG, AnySizeD)
generators.sound("any image_size, at 64", AnySizeG, AnySizeD, 64)
generators.sound("for 64 x 64 only", Of64G, None, 64)


class LastInstanceNormG(SizedG):
    def __init__(self, z_size, conv_dim):
        super().__init__(z_size, conv_dim)
        self.deconv3 = nn.Sequential(nn.ConvTranspose2d(conv_dim, 3, 4, 2, 1), nn.InstanceNorm2d(3))


class AlwaysEvalG(SizedG):
    def train(self, mode=True):
        super().train(mode)
        self.deconv1[1].eval(), self.deconv2[1].eval()
        return self


class OneDeeperG(SizedG):
    def __init__(self, z_size, conv_dim):
        super().__init__(z_size, conv_dim)
        self.extra = conv(conv_dim, conv_dim, 3, stride=1)

    def raw(self, z):
        x = self.fc(z).view(-1, self.conv_dim * 4, 4, 4)
        x = F.relu(self.deconv2(F.relu(self.deconv1(x))))
        return self.deconv3(F.relu(self.extra(x)))


class SizeIgnoredG(SizedG):
    def __init__(self, z_size, conv_dim, image_size=32):
        super().__init__(z_size, conv_dim)


generators.sound("InstanceNorm on the last layer", LastInstanceNormG, advice="InstanceNorm on G's last layer")
generators.sound("BatchNorm that never normalises", AlwaysEvalG, advice="never normalise")
generators.sound("one layer deeper than D", OneDeeperG, TutorialD, advice="deeper than the discriminator by two layers")
generators.sound("image_size ignored", SizeIgnoredG, advice="does not fit pictures of 64 x 64")


class DropoutAfterTanhG(SizedG):
    def __init__(self, z_size, conv_dim):
        super().__init__(z_size, conv_dim)
        self.dropout = nn.Dropout(0.2)

    def forward(self, z):
        return self.dropout(super().forward(z))


class GreyInThreeG(SizedG):
    def __init__(self, z_size, conv_dim):
        super().__init__(z_size, conv_dim)
        self.deconv3 = deconv(conv_dim, 1, 4, batch_norm=False)

    def forward(self, z):
        return super().forward(z).repeat(1, 3, 1, 1)


class FramedG(SizedG):
    """28 x 28 and a black frame."""

    def forward(self, z):
        return F.pad(super().forward(z)[:, :, 2:-2, 2:-2], (2, 2, 2, 2), value=-1.0)


class SmallInTheMiddleG(SizedG):
    def __init__(self, z_size, conv_dim):
        super().__init__(z_size, conv_dim)
        self.deconv3 = nn.Conv2d(conv_dim, 3, 3, padding=1)

    def forward(self, z):
        return F.pad(super().forward(z), (8, 8, 8, 8))


class ForgottenReturnG(SizedG):
    def forward(self, z):
        images = torch.tanh(self.raw(z))  # noqa: F841


class NamesExchangedG(SizedG):
    def __init__(self, conv_dim, z_size):
        super().__init__(z_size, conv_dim)


generators.wrong("dropout after tanh", DropoutAfterTanhG, says="in training mode too")
generators.wrong("grey in three channels", GreyInThreeG, says="grey")
generators.wrong("a frame around a smaller picture", FramedG, says="the same for every z")
generators.wrong("a small picture in the middle", SmallInTheMiddleG)
generators.wrong("return forgotten", ForgottenReturnG, says="`return` forgotten")
generators.wrong("arguments in another order", NamesExchangedG, says="Generator(z_size, conv_dim)")
generators.wrong("32 x 32 where 64 is asked for", SizedG, None, 64, says="64")
