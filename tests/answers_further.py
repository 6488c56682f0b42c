"""Further losses, optimizers and first weights: rarer kinds, and subtler faults."""

import functools

import numpy as np
import torch
import torch.nn.functional as F
from answers import Answers
from answers_kinds import AnySizeD, Of64D
from answers_networks import EarlierD, SizedG, by_name, by_type
from answers_training import (
    LOGITS_D,
    SIGMOID_D,
    adam,
    fake_logits,
    fake_probabilities,
    fake_squares,
    real_hinge,
    real_logits,
    real_probabilities,
    toward,
)
from torch import nn

losses = Answers("test_losses", aside=("no sigmoid, neither in D nor in the losses",))
optimizers = Answers("test_optimizers", aside=("in place of Adam",))
initials = Answers("test_weights_init")

SMOOTH = toward(0.9)
torch.manual_seed(0)


# The losses


class Loss(nn.Module):
    def __init__(self, label):
        super().__init__()
        self.label, self.criterion = label, nn.BCEWithLogitsLoss()

    def forward(self, D_out):
        return self.criterion(D_out, torch.full_like(D_out, self.label))


def focal(D_out):
    """Examples that are easy count less (Lin et al., 2017)."""
    value = F.softplus(D_out)
    return (value * torch.sigmoid(D_out.detach()).square()).mean()


def label_ramp(D_out):
    """Labels spread evenly over 0.8 to 1."""
    return F.binary_cross_entropy_with_logits(D_out, torch.linspace(0.8, 1.0, len(D_out)).view(-1, 1))


def clamped(sign):
    return lambda p: -((p if sign > 0 else 1 - p).clamp_min(1e-6)).log().mean()


losses.sound("a Module for each", Loss(0.9), Loss(0.0), LOGITS_D)
losses.sound("partial", functools.partial(lambda label, D_out: toward(label)(D_out), 0.9), fake_logits, LOGITS_D)
losses.sound("labels from 0.8 to 1", label_ramp, fake_logits, LOGITS_D)
losses.sound("focal for fakes", SMOOTH, focal, LOGITS_D)
losses.sound("compiled", torch.compile(SMOOTH), torch.compile(fake_logits), LOGITS_D)
losses.sound("a D of 64 x 64", SMOOTH, fake_logits, AnySizeD(8, 64))
losses.sound("a D for 64 x 64 only", SMOOTH, fake_logits, Of64D(8))
losses.sound("a D of 128 x 128", SMOOTH, fake_logits, AnySizeD(4, 128))
losses.sound(
    "hinge of a wide margin",
    lambda D_out: F.relu(2 - D_out).mean(),
    lambda D_out: F.relu(2 + D_out).mean(),
    LOGITS_D,
)
losses.sound("label 1", real_logits, fake_logits, LOGITS_D, advice="smoothing on the real side only")
losses.sound("label 1, squares", toward(1.0, F.mse_loss), fake_squares, LOGITS_D, advice="the real label is 1.")
losses.sound("label 1, probabilities", real_probabilities, fake_probabilities, SIGMOID_D, advice="the real label is 1.")
losses.sound("smoothed upwards", toward(1.1), fake_logits, LOGITS_D, advice="smoothing goes below 1")
losses.sound("smoothed upwards, squares", toward(1.1, F.mse_loss), fake_squares, LOGITS_D, advice="smoothing goes below 1")
losses.sound(
    "a sigmoid and a logarithm by hand",
    lambda D_out: -torch.log(torch.sigmoid(D_out)).mean(),
    lambda D_out: -torch.log(1 - torch.sigmoid(D_out)).mean(),
    LOGITS_D,
    advice="becomes infinite",
)
losses.sound("clamped logarithms on a sigmoid", clamped(1), clamped(-1), SIGMOID_D, advice="the real label is 1.")


def of_the_mean(label):
    return lambda D_out: toward(label)(D_out.mean().view(1, 1))


def labels_for_64(label):
    labels = torch.full((64, 1), label)
    return lambda D_out: F.binary_cross_entropy_with_logits(D_out, labels[: len(D_out)])


def loss_forgets_return(D_out):
    loss = F.binary_cross_entropy_with_logits(D_out, torch.ones_like(D_out))  # noqa: F841


losses.wrong("the loss of the mean", of_the_mean(0.9), of_the_mean(0.0), says="the loss of their mean")
losses.wrong("the loss of the mean of one", SMOOTH, of_the_mean(0.0), says="the loss of their mean")
losses.wrong(
    "the hinge of the mean",
    lambda D_out: F.relu(1 - D_out.mean()),
    lambda D_out: F.relu(1 + D_out.mean()),
    says="their mean",
)
losses.wrong(
    "the square of the mean", lambda D_out: (D_out.mean() - 1) ** 2, lambda D_out: D_out.mean() ** 2, says="their mean"
)
losses.wrong("only the last half", lambda D_out: SMOOTH(D_out[len(D_out) // 2 :]), fake_logits, says="of them")
losses.wrong("labels made for 64", labels_for_64(0.9), labels_for_64(0.0), says="shape (256, 1)")
losses.wrong("return forgotten", loss_forgets_return, fake_logits, says="`return` forgotten")
losses.wrong("only real_loss returns", real_hinge, loss_forgets_return, says="fake_loss to return")


# The optimizers

D, G = EarlierD(8), SizedG(20, 8)


def scheduled(net):
    optimizer = adam(net)
    torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 10)
    return optimizer


def sharing():
    """A G whose last layer is D's first: one weight in both networks."""
    D, G = EarlierD(8), SizedG(20, 8)
    G.deconv3[0].weight = D.conv1[0].weight
    return D, G


SHARED_D, SHARED_G = sharing()
COMPILED_D, COMPILED_G = torch.compile(EarlierD(8)), torch.compile(SizedG(20, 8))

optimizers.sound("Adam, fused", adam(D, fused=True), adam(G, fused=True), D, G)
optimizers.sound("amsgrad and weight decay", adam(D, amsgrad=True), adam(G, weight_decay=1e-4), D, G)
optimizers.sound("RAdam", adam(D, kind=torch.optim.RAdam), adam(G), D, G)
optimizers.sound("Adamax", adam(D, kind=torch.optim.Adamax), adam(G), D, G)
optimizers.sound("with schedules", scheduled(D), scheduled(G), D, G)
optimizers.sound("compiled networks", adam(COMPILED_D), adam(COMPILED_G), COMPILED_D, COMPILED_G)
optimizers.sound(
    "SGD at Adam's rate", torch.optim.SGD(D.parameters(), 0.0002), adam(G), D, G, advice="is a rate for Adam"
)
optimizers.sound("beta1 of 0.95", adam(D, betas=(0.95, 0.999)), adam(G), D, G, advice="beta1 = 0.95 carries gradients")
optimizers.sound("beta1 of 0.999", adam(D, betas=(0.999, 0.999)), adam(G), D, G, advice="beta1 = 0.999 carries gradients")
optimizers.wrong("beta1 and beta2 exchanged", adam(D, betas=(0.999, 0.1)), adam(G), D, G, says="exchanged")
optimizers.wrong("exchanged for G, 0.5", adam(D), adam(G, betas=(0.999, 0.5)), D, G, says="exchanged")
optimizers.wrong("a layer in both networks", adam(SHARED_D), adam(SHARED_G), SHARED_D, SHARED_G, says="together")


# The first weights


def by_init_module(m):
    match m:
        case nn.Conv2d() | nn.ConvTranspose2d() | nn.Linear():
            nn.init.normal_(m.weight, std=0.02)


def with_generator():
    source = torch.Generator().manual_seed(3)

    def weights_init_normal(m):
        if isinstance(m, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
            nn.init.normal_(m.weight, 0.0, 0.02, generator=source)

    return weights_init_normal


def small_letters(m):
    if m.__class__.__name__.find("conv") != -1 or m.__class__.__name__.find("linear") != -1:
        nn.init.normal_(m.weight.data, 0.0, 0.02)


def instance_of_type(m):
    if type(m) is nn.Module:
        nn.init.normal_(m.weight, 0.0, 0.02)


def seeded(m):
    torch.manual_seed(42)
    by_name(m)


def seeded_once(m):
    if isinstance(m, nn.Linear) and m.bias is None:
        torch.manual_seed(0)
    by_name(m)


def seeded_numpy(m):
    np.random.seed(0)
    if hasattr(m, "weight") and m.weight.ndim > 1:
        m.weight.data = torch.from_numpy(np.random.normal(0, 0.02, size=tuple(m.weight.shape))).float()


def freezes(m):
    by_type(m)
    if isinstance(m, nn.Conv2d):
        m.weight.requires_grad = False


def doubles(m):
    if isinstance(m, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
        m.weight.data = torch.from_numpy(np.random.normal(0, 0.02, size=tuple(m.weight.shape)))


def norm_and_missing_bias(m):
    if hasattr(m, "weight"):
        nn.init.normal_(m.weight, 0.0, 0.02)
        m.bias.data.fill_(0)


def transposed_and_missing_bias(m):
    if isinstance(m, (nn.Conv2d, nn.Linear)):
        nn.init.normal_(m.weight, 0.0, 0.02)
        m.bias.data.fill_(0)


def named(m):
    name = m.__class__.__name__  # noqa: F841


initials.sound("by match", by_init_module)
initials.sound("a generator of random numbers", with_generator())
initials.sound("partial", functools.partial(lambda std, m: by_type(m), 0.02))
initials.wrong("small letters in find", small_letters, says="matched no layer")
initials.wrong("a type that no layer has", instance_of_type, says="matched no layer")
initials.wrong("seeded at every layer", seeded, says="a seed")
initials.wrong("seeded once", seeded_once, says="a seed")
initials.wrong("numpy seeded", seeded_numpy, says="a seed")
initials.wrong("freezes layers", freezes, says="requires_grad")
initials.wrong("in float64", doubles, says="float64")
initials.wrong("BatchNorm around 0, and a bias missed", norm_and_missing_bias, says="BatchNorm")
initials.wrong("transposed left out, and a bias missed", transposed_and_missing_bias, says="ConvTranspose2d")
initials.not_begun("the earlier edition's template", named)
