"""Right and wrong answers to the losses, the optimizers and the training steps, as learners write them."""

import copy

import numpy as np
import torch
import torch.nn.functional as F
from answers import Answers
from answers_networks import EarlierD, SigmoidD, SizedG, TutorialD
from torch import nn

losses = Answers("test_losses", aside=("smoothing on the real side only", "no sigmoid, neither in D nor in the losses"))
optimizers = Answers("test_optimizers", aside=("in place of Adam",))
steps = Answers("test_training_steps", aside=("have no argument fake_images",))

torch.manual_seed(0)
LOGITS_D, SIGMOID_D, TUTORIAL_D = EarlierD(16), SigmoidD(16), TutorialD(16)


# The losses


def real_logits(D_out):
    return F.binary_cross_entropy_with_logits(D_out, torch.ones_like(D_out))


def fake_logits(D_out):
    return F.binary_cross_entropy_with_logits(D_out, torch.zeros_like(D_out))


def real_squeezed(D_out, smooth=False):
    """The earlier edition's: most finished notebooks look like this."""
    batch_size = D_out.size(0)
    labels = torch.ones(batch_size) * 0.9 if smooth else torch.ones(batch_size)
    criterion = nn.BCEWithLogitsLoss()
    return criterion(D_out.squeeze(), labels)


def fake_squeezed(D_out):
    labels = torch.zeros(D_out.size(0))
    return nn.BCEWithLogitsLoss()(D_out.squeeze(), labels)


def real_probabilities(D_out):
    return nn.BCELoss()(D_out, torch.ones_like(D_out))


def fake_probabilities(D_out):
    return nn.BCELoss()(D_out, torch.zeros_like(D_out))


def real_squares(D_out):
    return torch.mean((D_out - 1) ** 2)


def fake_squares(D_out):
    return torch.mean(D_out**2)


def real_hinge(D_out):
    return F.relu(1 - D_out).mean()


def fake_hinge(D_out):
    return F.relu(1 + D_out).mean()


def toward(label, loss=F.binary_cross_entropy_with_logits, **kwargs):
    """A loss with one label for all."""
    return lambda D_out: loss(D_out, torch.full_like(D_out, label), **kwargs)


def noisy(low, high):
    return lambda D_out: F.binary_cross_entropy_with_logits(D_out, torch.empty_like(D_out).uniform_(low, high))


def squares_squeezed(label):
    return lambda D_out: ((D_out.squeeze() - label) ** 2).mean()


losses.sound("logits", real_logits, fake_logits)
losses.sound("logits, with D", real_logits, fake_logits, LOGITS_D)
losses.sound("the earlier edition's, squeezed", real_squeezed, fake_squeezed, advice="batch of one")
losses.sound("squeezed, squares", squares_squeezed(1.0), squares_squeezed(0.0))
losses.sound("smoothed", lambda D_out: real_squeezed(D_out, True), fake_squeezed, LOGITS_D, advice="batch of one")
losses.sound("smoothed to 0.9", toward(0.9), fake_logits, LOGITS_D)
losses.sound("smoothed to 0.7", toward(0.7), fake_logits)
losses.sound("labels drawn from 0.7 to 1.2", noisy(0.7, 1.2), fake_logits, LOGITS_D)
losses.sound("probabilities", real_probabilities, fake_probabilities, advice="BCELoss takes probabilities")
losses.sound(
    "probabilities, with D",
    real_probabilities,
    fake_probabilities,
    SIGMOID_D,
    advice="BCELoss takes probabilities",
)
losses.sound(
    "probabilities, the tutorial's D",
    real_probabilities,
    fake_probabilities,
    TUTORIAL_D,
    advice="BCELoss takes probabilities",
)
losses.sound(
    "probabilities, smoothed",
    toward(0.9, F.binary_cross_entropy),
    fake_probabilities,
    SIGMOID_D,
    advice="BCELoss takes probabilities",
)
losses.sound(
    "logarithms by hand",
    lambda D_out: -torch.log(D_out + 1e-8).mean(),
    lambda D_out: -torch.log(1 - D_out + 1e-8).mean(),
    SIGMOID_D,
)
losses.sound(
    "softplus by hand", lambda D_out: F.softplus(-D_out).mean(), lambda D_out: F.softplus(D_out).mean(), LOGITS_D
)
losses.sound("least squares", real_squares, fake_squares, LOGITS_D)
losses.sound("least squares, MSELoss", toward(1.0, F.mse_loss), toward(0.0, F.mse_loss))
losses.sound("least squares on a sigmoid", real_squares, fake_squares, SIGMOID_D)
losses.sound("least squares, -1 and 1", toward(1.0, F.mse_loss), toward(-1.0, F.mse_loss), LOGITS_D)
losses.sound("least squares, smoothed", toward(0.9, F.mse_loss), toward(0.0, F.mse_loss))
losses.sound("hinge", real_hinge, fake_hinge, LOGITS_D)
losses.sound("Wasserstein", lambda D_out: -D_out.mean(), lambda D_out: D_out.mean(), LOGITS_D)
losses.sound("absolute difference", toward(1.0, F.l1_loss), toward(0.0, F.l1_loss))
losses.sound(
    "a tensor of one number", lambda D_out: real_logits(D_out).view(1), lambda D_out: fake_logits(D_out).view(1)
)
losses.sound("halved", lambda D_out: real_logits(D_out) / 2, lambda D_out: fake_logits(D_out) / 2, LOGITS_D)
losses.sound("sums", toward(1.0, reduction="sum"), toward(0.0, reduction="sum"), advice="grow with the batch")
losses.sound("hinge on a sigmoid", real_hinge, fake_hinge, SIGMOID_D, advice="below 0")

losses.wrong("swapped", fake_logits, real_logits, says="swapped")
losses.wrong("swapped, squares", fake_squares, real_squares, says="swapped")
losses.wrong("label 1 twice", real_logits, real_logits, says="same label")
losses.wrong("label 0 twice", fake_logits, fake_logits, says="same label")
losses.wrong("label 1 twice, probabilities", real_probabilities, real_probabilities, says="same label")
losses.wrong(
    "wrong sign", lambda D_out: -real_probabilities(D_out), lambda D_out: -fake_probabilities(D_out), says="sign"
)
losses.wrong("wrong sign of one", lambda D_out: torch.log(D_out).mean(), fake_probabilities)
losses.wrong(
    "wrong sign of hinge",
    lambda D_out: F.relu(1 + D_out).mean(),
    lambda D_out: F.relu(1 - D_out).mean(),
    says="swapped",
)
losses.wrong("not a scalar", toward(1.0, reduction="none"), toward(0.0, reduction="none"), says="one number")
losses.wrong("a float", lambda D_out: real_logits(D_out).item(), lambda D_out: fake_logits(D_out).item(), says="float")
losses.wrong(
    "detached", lambda D_out: real_logits(D_out.detach()), lambda D_out: fake_logits(D_out.detach()), says="gradient"
)
losses.wrong(
    "detached fakes only",
    real_logits,
    lambda D_out: fake_logits(D_out.detach()),
    says="fake_loss(D_out) to have a gradient",
)
losses.wrong("a constant", lambda D_out: torch.tensor(0.7, requires_grad=True), fake_logits, says="gradient")
losses.wrong("compared with itself", lambda D_out: F.mse_loss(D_out, D_out), fake_squares, says="gradient")
losses.wrong(
    "accuracy", lambda D_out: (D_out > 0.5).float().mean(), lambda D_out: (D_out < 0.5).float().mean(), says="gradient"
)
losses.wrong(
    "batch size fixed",
    lambda D_out: F.binary_cross_entropy_with_logits(D_out.squeeze(), torch.ones(64)),
    fake_logits,
    says="(7, 1)",
)
losses.wrong("only the first 3", lambda D_out: real_logits(D_out[:3]), fake_logits, says="3 of them")
losses.wrong(
    "(N, 1) against (N,), BCE",
    lambda D_out: F.binary_cross_entropy_with_logits(D_out, torch.ones(len(D_out))),
    fake_logits,
    says="torch.ones_like(D_out)",
)
losses.wrong(
    "(N, 1) against (N,), MSE",
    lambda D_out: F.mse_loss(D_out, torch.ones(len(D_out))),
    lambda D_out: F.mse_loss(D_out, torch.zeros(len(D_out))),
    says="64 x 64",
)
losses.wrong(
    "(N, 1) against (N,), by hand",
    lambda D_out: ((D_out - torch.ones(len(D_out))) ** 2).mean(),
    lambda D_out: ((D_out - torch.zeros(len(D_out))) ** 2).mean(),
    says="64 x 64",
)
losses.wrong(
    "(N,) against (N, 1)",
    lambda D_out: F.mse_loss(D_out.squeeze(), torch.ones(len(D_out), 1)),
    fake_squares,
    says="64 x 64",
)
losses.wrong("smoothed fakes", real_logits, toward(0.1), says="0 as the label of fakes")
losses.wrong(
    "smoothed fakes, probabilities", real_probabilities, toward(0.1, F.binary_cross_entropy), says="0 as the label"
)
losses.wrong("smoothed fakes, squares", real_squares, toward(0.1, F.mse_loss), says="0 as the label of fakes")
losses.wrong("noisy fakes", noisy(0.7, 1.2), noisy(0.0, 0.3), says="0 as the label of fakes")
losses.wrong("both at a half", toward(0.5), toward(0.5))
losses.wrong("a sigmoid twice", real_logits, fake_logits, SIGMOID_D, says="two: D ends in a sigmoid")
losses.wrong("a sigmoid twice, the tutorial's D", toward(0.9), fake_logits, TUTORIAL_D, says="two: D ends in a sigmoid")
losses.wrong(
    "a sigmoid twice, by hand",
    lambda D_out: real_probabilities(torch.sigmoid(D_out)),
    lambda D_out: fake_probabilities(torch.sigmoid(D_out)),
    SIGMOID_D,
    says="two: D ends in a sigmoid",
)
losses.wrong(
    "a sigmoid twice, then squares",
    lambda D_out: real_squares(torch.sigmoid(D_out)),
    lambda D_out: fake_squares(torch.sigmoid(D_out)),
    SIGMOID_D,
    says="two: D ends in a sigmoid",
)
losses.wrong("no sigmoid at all", real_probabilities, fake_probabilities, LOGITS_D, says="BCEWithLogitsLoss")
losses.wrong(
    "no sigmoid, logarithms by hand",
    lambda D_out: -torch.log(D_out).mean(),
    lambda D_out: -torch.log(1 - D_out).mean(),
    LOGITS_D,
    says="BCEWithLogitsLoss",
)
losses.wrong("nan", lambda D_out: torch.log(-D_out).mean(), fake_logits, says="finite")
losses.wrong("labels forgotten", lambda D_out: F.binary_cross_entropy_with_logits(D_out), fake_logits, says="line")
losses.wrong(
    "whole numbers as labels",
    lambda D_out: F.binary_cross_entropy_with_logits(D_out, torch.ones(len(D_out), 1).long()),
    fake_hinge,
)


def loss_not_written(D_out):
    raise NotImplementedError()


losses.not_begun("nothing returned", lambda D_out: None, lambda D_out: None)
losses.not_begun("only real_loss", real_logits, lambda D_out: None)
losses.not_begun("NotImplementedError", loss_not_written, loss_not_written)


# The optimizers

D, G = EarlierD(8), SizedG(20, 8)
OLD_D, OLD_G = EarlierD(8), SizedG(20, 8)
FROZEN_D = EarlierD(8)
FROZEN_D.conv1.requires_grad_(False)


def adam(*nets, lr=0.0002, betas=(0.2, 0.999), kind=torch.optim.Adam, **kwargs):
    return kind([p for net in nets for p in net.parameters()], lr=lr, betas=betas, **kwargs)


def some_of(net):
    return list(net.parameters())[:-2]


optimizers.sound("Adam", adam(D), adam(G), D, G)
optimizers.sound(
    "generators of parameters",
    torch.optim.Adam(D.parameters(), 0.0004, [0.3, 0.999]),
    torch.optim.Adam(G.parameters(), 0.0002, [0.3, 0.999]),
    D,
    G,
)
optimizers.sound(
    "AdamW, groups",
    adam(D, kind=torch.optim.AdamW),
    torch.optim.Adam(
        [{"params": G.fc.parameters()}, {"params": [p for name, p in G.named_parameters() if "fc" not in name]}],
        lr=0.001,
        betas=(0.1, 0.99),
    ),
    D,
    G,
)
optimizers.sound(
    "frozen layers left out",
    torch.optim.Adam([p for p in FROZEN_D.parameters() if p.requires_grad], 0.0002, (0.2, 0.999)),
    adam(G),
    FROZEN_D,
    G,
)
optimizers.sound(
    "RMSprop", torch.optim.RMSprop(D.parameters(), 0.00005), torch.optim.RMSprop(G.parameters(), 0.00005), D, G
)
optimizers.sound(
    "SGD", torch.optim.SGD(D.parameters(), 0.01, momentum=0.9), torch.optim.SGD(G.parameters(), 0.01), D, G
)
optimizers.sound("beta1 of 0.5", adam(D, betas=(0.5, 0.999)), adam(G), D, G, advice="beta1 = 0.5")
optimizers.sound("beta1 of 0.9", adam(D), torch.optim.Adam(G.parameters(), lr=0.0002), D, G, advice="beta1 = 0.9")
optimizers.sound("beta1 of 0", adam(D, betas=(0.0, 0.9)), adam(G), D, G, advice="beta1 = 0")
optimizers.sound("a low learning rate", adam(D, lr=0.00002), adam(G), D, G, advice="lr = 2e-05")
optimizers.sound("a high learning rate", adam(D), adam(G, lr=0.002), D, G, advice="lr = 0.002")

optimizers.wrong("swapped", adam(G), adam(D), D, G, says="those of G")
optimizers.wrong("both over D", adam(D), adam(D), D, G, says="those of D")
optimizers.wrong("both over G", adam(G), adam(G), D, G, says="those of G")
optimizers.wrong("both networks in each", adam(D, G), adam(D, G), D, G, says="together")
optimizers.wrong("both networks in one", adam(D), adam(G, D), D, G, says="of G and of D together")
_shared = adam(D, G)
optimizers.wrong("one for both", _shared, _shared, D, G, says="one and the same")
optimizers.wrong("a part of D", adam(D.conv1), adam(G), D, G, says="missing")
optimizers.wrong("all but the last layer of G", adam(D), torch.optim.Adam(some_of(G), 0.0002), D, G, says="missing")
optimizers.wrong("an old D", adam(OLD_D), adam(G), D, G, says="build_network")
optimizers.wrong("an old G", adam(D), adam(OLD_G), D, G, says="build_network")
optimizers.wrong("old ones besides", adam(D, OLD_D), adam(G), D, G, says="in neither network")
optimizers.wrong("lr 0", adam(D, lr=0.0), adam(G), D, G, says="lr = 0")
optimizers.wrong("lr 1", adam(D, lr=1.0), adam(G), D, G, says="lr = 1")
optimizers.wrong("lr 0.1", adam(D), adam(G, lr=0.1), D, G, says="lr = 0.1")
optimizers.wrong("lr 2e-10", adam(D), adam(G, lr=2e-10), D, G, says="lr = 2e-10")
optimizers.wrong("SGD with lr 10", torch.optim.SGD(D.parameters(), 10.0), adam(G), D, G, says="lr = 10")
optimizers.wrong("parameters, no optimizer", list(D.parameters()), list(G.parameters()), D, G, says="torch.optim")
optimizers.wrong("the class itself", torch.optim.Adam, torch.optim.Adam, D, G, says="torch.optim")
optimizers.wrong("in a tuple", (adam(D),), (adam(G),), D, G, says="torch.optim")
optimizers.wrong("a schedule", torch.optim.lr_scheduler.StepLR(adam(D), 1), adam(G), D, G, says="torch.optim")
optimizers.not_begun("None", None, None, D, G)
optimizers.not_begun("only d_optimizer", adam(D), None, D, G)


# The steps


def scale(x):
    return x * 2 - 1


def z_for(G, n):
    return torch.randn(n, G.z_size, device=next(G.parameters()).device)


def d_step(D, G, real_images, d_optimizer):
    d_optimizer.zero_grad()
    fake_images = G(z_for(G, real_images.size(0)))
    loss = real_logits(D(scale(real_images))) + fake_logits(D(fake_images))
    loss.backward()
    d_optimizer.step()
    return loss.item()


def g_step(D, G, batch_size, g_optimizer):
    g_optimizer.zero_grad()
    loss = real_logits(D(G(z_for(G, batch_size))))
    loss.backward()
    g_optimizer.step()
    return loss.item()


def d_step_with(real_loss, fake_loss):
    def discriminator_step(D, G, real_images, d_optimizer):
        d_optimizer.zero_grad()
        loss = real_loss(D(scale(real_images))) + fake_loss(D(G(z_for(G, len(real_images)))))
        loss.backward()
        d_optimizer.step()
        return loss

    return discriminator_step


def g_step_with(real_loss):
    def generator_step(D, G, batch_size, g_optimizer):
        g_optimizer.zero_grad()
        loss = real_loss(D(G(z_for(G, batch_size))))
        loss.backward()
        g_optimizer.step()
        return loss.detach()

    return generator_step


def d_detach(D, G, real_images, d_optimizer):
    fake_images = G(z_for(G, len(real_images))).detach()
    D.zero_grad()
    d_loss = (real_logits(D(scale(real_images))) + fake_logits(D(fake_images))) * 0.5
    d_loss.backward()
    d_optimizer.step()
    return d_loss.detach()


def d_no_grad(D, G, real_images, d_optimizer):
    with torch.no_grad():
        fake_images = G(z_for(G, len(real_images)))
    d_optimizer.zero_grad(set_to_none=False)
    loss = real_logits(D(scale(real_images))) + fake_logits(D(fake_images))
    loss.backward()
    d_optimizer.step()
    return loss.item()


def d_two_backwards(D, G, real_images, d_optimizer):
    d_optimizer.zero_grad()
    d_real = real_logits(D(scale(real_images)))
    d_real.backward()
    d_fake = fake_logits(D(G(z_for(G, len(real_images)))))
    d_fake.backward()
    d_optimizer.step()
    return (d_real + d_fake).item()


def d_two_steps(D, G, real_images, d_optimizer):
    total = 0
    for images, loss in ((scale(real_images), real_logits), (G(z_for(G, len(real_images))).detach(), fake_logits)):
        d_optimizer.zero_grad()
        value = loss(D(images))
        value.backward()
        d_optimizer.step()
        total += value.item()
    return total


def d_one_batch(D, G, real_images, d_optimizer):
    d_optimizer.zero_grad()
    images = torch.cat([scale(real_images), G(z_for(G, len(real_images))).detach()])
    labels = torch.cat([torch.full((len(real_images), 1), 0.9), torch.zeros(len(real_images), 1)]).to(images)
    loss = F.binary_cross_entropy_with_logits(D(images), labels)
    loss.backward()
    d_optimizer.step()
    return loss.item()


def d_uniform(D, G, real_images, d_optimizer):
    """z as the earlier edition draws it."""
    d_optimizer.zero_grad()
    d_real_loss = real_squeezed(D(scale(real_images)), smooth=True)
    z = np.random.uniform(-1, 1, size=(real_images.size(0), G.z_size))
    z = torch.from_numpy(z).float()
    fake_images = G(z)
    d_fake_loss = fake_squeezed(D(fake_images))
    d_loss = d_real_loss + d_fake_loss
    d_loss.backward()
    d_optimizer.step()
    return d_loss.item()


def g_uniform(D, G, batch_size, g_optimizer):
    g_optimizer.zero_grad()
    z = torch.from_numpy(np.random.uniform(-1, 1, size=(batch_size, G.z_size))).float()
    g_loss = real_squeezed(D(G(z)), True)
    g_loss.backward()
    g_optimizer.step()
    return g_loss.item()


def g_frozen_d(D, G, batch_size, g_optimizer):
    D.requires_grad_(False)
    loss = real_logits(D(G(z_for(G, batch_size))))
    g_optimizer.zero_grad()
    loss.backward()
    g_optimizer.step()
    D.requires_grad_(True)
    return loss.item()


def g_inputs_only(D, G, batch_size, g_optimizer):
    loss = real_logits(D(G(z_for(G, batch_size))))
    g_optimizer.zero_grad()
    loss.backward(inputs=list(G.parameters()))
    g_optimizer.step()
    return loss.detach()


def d_zero_at_the_end(D, G, real_images, d_optimizer):
    loss = real_logits(D(scale(real_images))) + fake_logits(D(G(z_for(G, len(real_images))).detach()))
    loss.backward()
    d_optimizer.step()
    d_optimizer.zero_grad()
    return loss.item()


def g_zero_at_the_end(D, G, batch_size, g_optimizer):
    loss = real_logits(D(G(z_for(G, batch_size))))
    loss.backward()
    g_optimizer.step()
    g_optimizer.zero_grad()
    D.zero_grad()
    return loss.item()


def g_wasserstein(D, G, batch_size, g_optimizer):
    g_optimizer.zero_grad()
    loss = -D(G(z_for(G, batch_size))).mean()
    loss.backward()
    g_optimizer.step()
    return loss.item()


def g_saturating(D, G, batch_size, g_optimizer):
    """Goodfellow's first form: log(1 - D(G(z))) made small."""
    g_optimizer.zero_grad()
    loss = torch.log(1 - D(G(z_for(G, batch_size)))).mean()
    loss.backward()
    g_optimizer.step()
    return loss.item()


def d_clipped(D, G, real_images, d_optimizer):
    d_optimizer.zero_grad()
    loss = real_logits(D(scale(real_images))) + fake_logits(D(G(z_for(G, len(real_images))).detach()))
    loss.backward()
    nn.utils.clip_grad_norm_(D.parameters(), 0.001)
    d_optimizer.step()
    return loss.item()


def d_penalised(D, G, real_images, d_optimizer):
    """R1: the gradient of D at real images is kept small."""
    d_optimizer.zero_grad()
    real = scale(real_images).requires_grad_()
    scores = D(real)
    (gradient,) = torch.autograd.grad(scores.sum(), real, create_graph=True)
    loss = (
        real_logits(scores)
        + fake_logits(D(G(z_for(G, len(real))).detach()))
        + 0.1 * gradient.square().sum((1, 2, 3)).mean()
    )
    loss.backward()
    d_optimizer.step()
    return loss.item()


def d_mirrored(D, G, real_images, d_optimizer):
    d_optimizer.zero_grad()
    real, fake = scale(real_images).flip(-1), G(z_for(G, len(real_images))).detach()
    loss = real_logits(D(real + 0.05 * torch.randn_like(real))) + fake_logits(D(fake + 0.05 * torch.randn_like(fake)))
    loss.backward()
    d_optimizer.step()
    return loss.item()


def d_modes_restored(D, G, real_images, d_optimizer):
    G.eval()
    fake_images = G(z_for(G, len(real_images))).detach()
    G.train()
    d_optimizer.zero_grad()
    loss = real_logits(D(scale(real_images))) + fake_logits(D(fake_images))
    loss.backward()
    d_optimizer.step()
    return loss.item()


def d_more(D, G, real_images, d_optimizer, fake_images=None, smooth=0.9):
    d_optimizer.zero_grad()
    if fake_images is None:
        fake_images = G(z_for(G, len(real_images)))
    loss = toward(smooth)(D(scale(real_images))) + fake_logits(D(fake_images.detach()))
    loss.backward()
    d_optimizer.step()
    return loss.detach()


def g_returns_graph(D, G, batch_size, g_optimizer):
    g_optimizer.zero_grad()
    loss = real_logits(D(G(z_for(G, batch_size))))
    loss.backward()
    g_optimizer.step()
    return loss


def g_global_z_size(D, G, batch_size, g_optimizer):
    g_optimizer.zero_grad()
    loss = real_logits(D(G(torch.randn(batch_size, 100))))
    loss.backward()
    g_optimizer.step()
    return loss.item()


def g_positive_z(D, G, batch_size, g_optimizer):
    g_optimizer.zero_grad()
    loss = real_logits(D(G(torch.rand(batch_size, G.z_size))))
    loss.backward()
    g_optimizer.step()
    return loss.item()


steps.sound("no detach", d_step, g_step)
steps.sound("with networks", d_step, g_step, EarlierD(8), SizedG(20, 8))
steps.sound("detach, D.zero_grad()", d_detach, g_step)
steps.sound("no_grad, zeros instead of None", d_no_grad, g_step)
steps.sound("two backward passes", d_two_backwards, g_step)
steps.sound("two backward passes and two steps", d_two_steps, g_step)
steps.sound("real and fake in one batch", d_one_batch, g_step)
steps.sound("the earlier edition's, z uniform", d_uniform, g_uniform)
steps.sound("D frozen in G's step", d_step, g_frozen_d)
steps.sound("backward for G alone", d_step, g_inputs_only)
steps.sound("zero_grad at the end, of both networks", d_zero_at_the_end, g_zero_at_the_end)
steps.sound(
    "probabilities",
    d_step_with(real_probabilities, fake_probabilities),
    g_step_with(real_probabilities),
    SigmoidD(8),
    SizedG(20, 8),
    advice="graph",
)
steps.sound("least squares", d_step_with(real_squares, fake_squares), g_step_with(real_squares), advice="graph")
steps.sound("hinge", d_step_with(real_hinge, fake_hinge), g_wasserstein, advice="graph")
steps.sound("smoothed", d_step_with(toward(0.7), fake_logits), g_step_with(toward(0.7)), advice="graph")
steps.sound("labels drawn", d_step_with(noisy(0.7, 1.2), fake_logits), g_step, advice="graph")
steps.sound("saturating loss", d_step, g_saturating)
steps.sound("clipped gradients", d_clipped, g_step)
steps.sound("R1 penalty", d_penalised, g_step)
steps.sound("mirrored, with noise", d_mirrored, g_step)
steps.sound("G in eval mode for a moment", d_modes_restored, g_step)
steps.sound("no argument fake_images", d_step, g_step, advice="have no argument fake_images")
steps.sound("further arguments", d_more, g_step)
steps.sound("the loss with its graph", d_step, g_returns_graph, advice="graph")
steps.sound("z of a fixed length", d_step, g_global_z_size, advice="G.z_size")
steps.sound("z from 0 to 1", d_step, g_positive_z, advice="positive numbers")


class DStep:
    """d_step in parts, so that each wrong answer is one part done wrong."""

    def __call__(self, D, G, real_images, d_optimizer):
        self.before(D, G, d_optimizer)
        d_optimizer.zero_grad()
        loss = self.loss(D, G, real_images)
        loss.backward()
        d_optimizer.step()
        self.after(D, G)
        return loss.item()

    def before(self, D, G, d_optimizer):
        pass

    def after(self, D, G):
        pass

    def real(self, D, real_images):
        return real_logits(D(scale(real_images)))

    def fake(self, D, G, n):
        return fake_logits(D(G(z_for(G, n))))

    def loss(self, D, G, real_images):
        return self.real(D, real_images) + self.fake(D, G, len(real_images))


def d_with(**parts):
    return type("discriminator_step", (DStep,), {name: staticmethod(part) for name, part in parts.items()})()


def d_no_zero(D, G, real_images, d_optimizer):
    loss = real_logits(D(scale(real_images))) + fake_logits(D(G(z_for(G, len(real_images)))))
    loss.backward()
    d_optimizer.step()
    return loss.item()


def d_zero_after_backward(D, G, real_images, d_optimizer):
    loss = real_logits(D(scale(real_images))) + fake_logits(D(G(z_for(G, len(real_images)))))
    loss.backward()
    d_optimizer.zero_grad()
    d_optimizer.step()
    return loss.item()


def d_step_before_backward(D, G, real_images, d_optimizer):
    d_optimizer.zero_grad()
    loss = real_logits(D(scale(real_images))) + fake_logits(D(G(z_for(G, len(real_images)))))
    d_optimizer.step()
    loss.backward()
    return loss.item()


def d_no_step(D, G, real_images, d_optimizer):
    d_optimizer.zero_grad()
    loss = real_logits(D(scale(real_images))) + fake_logits(D(G(z_for(G, len(real_images)))))
    loss.backward()
    return loss.item()


def d_no_backward(D, G, real_images, d_optimizer):
    d_optimizer.zero_grad()
    loss = real_logits(D(scale(real_images))) + fake_logits(D(G(z_for(G, len(real_images)))))
    d_optimizer.step()
    return loss.item()


def d_zero_between(D, G, real_images, d_optimizer):
    d_optimizer.zero_grad()
    d_real = real_logits(D(scale(real_images)))
    d_real.backward()
    d_optimizer.zero_grad()
    d_fake = fake_logits(D(G(z_for(G, len(real_images)))))
    d_fake.backward()
    d_optimizer.step()
    return (d_real + d_fake).item()


def d_steps_without_zero(D, G, real_images, d_optimizer):
    d_optimizer.zero_grad()
    d_real = real_logits(D(scale(real_images)))
    d_real.backward()
    d_optimizer.step()
    d_fake = fake_logits(D(G(z_for(G, len(real_images)))))
    d_fake.backward()
    d_optimizer.step()
    return (d_real + d_fake).item()


def d_moves_g(D, G, real_images, d_optimizer):
    optimizer = torch.optim.SGD([*D.parameters(), *G.parameters()], lr=0.1)
    optimizer.zero_grad()
    loss = real_logits(D(scale(real_images))) + fake_logits(D(G(z_for(G, len(real_images)))))
    loss.backward()
    optimizer.step()
    return loss.item()


def d_returns_two(D, G, real_images, d_optimizer):
    return d_step(D, G, real_images, d_optimizer), 0.5


def d_returns_nothing(D, G, real_images, d_optimizer):
    d_step(D, G, real_images, d_optimizer)


class Globals:
    """The notebook's own networks, which a step must not reach for."""

    D, G = EarlierD(8), SizedG(37, 8)
    d_optimizer, g_optimizer = torch.optim.Adam(D.parameters(), 0.0002), torch.optim.Adam(G.parameters(), 0.0002)


def d_of_globals(D, G, real_images, d_optimizer):
    return d_step(Globals.D, Globals.G, real_images, Globals.d_optimizer)


def g_of_globals(D, G, batch_size, g_optimizer):
    return g_step(Globals.D, Globals.G, batch_size, Globals.g_optimizer)


def d_global_g(D, G, real_images, d_optimizer):
    return d_step(D, Globals.G, real_images, d_optimizer)


def d_shape_error(D, G, real_images, d_optimizer):
    d_optimizer.zero_grad()
    z = torch.randn(len(real_images), G.z_size, 1, 1)
    loss = fake_logits(D(G(z)))
    loss.backward()


def seeded_z(D, G, n):
    torch.manual_seed(0)
    return fake_logits(D(G(z_for(G, n))))


FIXED_Z = torch.randn(16, 37)


steps.wrong("real images not scaled", d_with(real=lambda D, x: real_logits(D(x))), g_step, says="not scaled")
steps.wrong(
    "real images scaled twice", d_with(real=lambda D, x: real_logits(D(scale(scale(x))))), g_step, says="scaled twice"
)
steps.wrong(
    "fakes scaled too", d_with(fake=lambda D, G, n: fake_logits(D(scale(G(z_for(G, n)))))), g_step, says="fakes from"
)
steps.wrong(
    "fakes in [0, 1]", d_with(fake=lambda D, G, n: fake_logits(D((G(z_for(G, n)) + 1) / 2))), g_step, says="fakes from"
)
steps.wrong("D: zero_grad missing", d_no_zero, g_step, says="left over")
steps.wrong("D: zero_grad after backward", d_zero_after_backward, g_step, says="order")
steps.wrong("D: zero_grad between the backward passes", d_zero_between, g_step, says="real images count for nothing")
steps.wrong("D: two steps, one zero_grad", d_steps_without_zero, g_step, says="used twice")
steps.wrong("D: step missing", d_no_step, g_step, says="as before")
steps.wrong("D: step before backward", d_step_before_backward, g_step)
steps.wrong("D: backward missing", d_no_backward, g_step, says="as before")
steps.wrong("D: zero_grad at the end, G's gradients stay", d_zero_at_the_end, g_step, says="left over")
steps.wrong("D: only reals", d_with(fake=lambda D, G, n: 0), g_step, says="no images of the given G")
steps.wrong("D: only fakes", d_with(real=lambda D, x: 0), g_step, says="no real images")
steps.wrong(
    "D: fakes left out of the loss",
    d_with(fake=lambda D, G, n: 0 * fake_logits(D(G(z_for(G, n))))),
    g_step,
    says="fakes count for nothing",
)
steps.wrong(
    "D: labels swapped",
    d_with(real=lambda D, x: fake_logits(D(scale(x))), fake=lambda D, G, n: real_logits(D(G(z_for(G, n))))),
    g_step,
    says="a fall on real images",
)
steps.wrong(
    "D: real_loss for fakes too",
    d_with(fake=lambda D, G, n: real_logits(D(G(z_for(G, n))))),
    g_step,
    says="a rise on fakes",
)
steps.wrong(
    "D: sign",
    d_with(loss=lambda D, G, x: -(real_logits(D(scale(x))) + fake_logits(D(G(z_for(G, len(x))))))),
    g_step,
    says="a fall on real images",
)
steps.wrong("D's step moves G", d_moves_g, g_step, says="G's weights have moved")
steps.wrong("D: batch size fixed", d_with(fake=lambda D, G, n: fake_logits(D(G(z_for(G, 64))))), g_step, says="64")
steps.wrong("D: always the same z, seeded", d_with(fake=seeded_z), g_step, says="same z")
steps.wrong(
    "D: always the same z, fixed", d_with(fake=lambda D, G, n: fake_logits(D(G(FIXED_Z[:n])))), g_step, says="same z"
)
steps.wrong(
    "D: one z for the whole batch",
    d_with(fake=lambda D, G, n: fake_logits(D(G(z_for(G, 1).expand(n, -1))))),
    g_step,
    says="same z",
)
steps.wrong(
    "D: z of zeros", d_with(fake=lambda D, G, n: fake_logits(D(G(torch.zeros(n, G.z_size))))), g_step, says="same z"
)
steps.wrong("D left in eval mode", d_with(after=lambda D, G: D.eval()), g_step, says="D in training mode")
steps.wrong("G left in eval mode", d_with(before=lambda D, G, d_optimizer: G.eval()), g_step, says="G in training mode")
steps.wrong("D: two results", d_returns_two, g_step, says="tuple")
steps.wrong("D: no result", d_returns_nothing, g_step, says="Got: None")
steps.wrong("D: the notebook's networks", d_of_globals, g_step, says="neither was called")
steps.wrong("D: the notebook's G", d_global_g, g_step, says="no images of the given G")
steps.wrong("D: z of the wrong shape", d_shape_error, g_step, says="fake_logits(D(G(z)))")


def g_no_zero(D, G, batch_size, g_optimizer):
    loss = real_logits(D(G(z_for(G, batch_size))))
    loss.backward()
    g_optimizer.step()
    return loss.item()


def g_zero_after_backward(D, G, batch_size, g_optimizer):
    loss = real_logits(D(G(z_for(G, batch_size))))
    loss.backward()
    g_optimizer.zero_grad()
    g_optimizer.step()
    return loss.item()


def g_no_step(D, G, batch_size, g_optimizer):
    g_optimizer.zero_grad()
    loss = real_logits(D(G(z_for(G, batch_size))))
    loss.backward()
    return loss.item()


def g_without(part):
    """g_step on a graph cut by `part` or with another loss."""

    def generator_step(D, G, batch_size, g_optimizer):
        g_optimizer.zero_grad()
        loss = part(D, G, batch_size)
        if loss.requires_grad:
            loss.backward()
        g_optimizer.step()
        return loss.item()

    return generator_step


def g_detached_backward(D, G, batch_size, g_optimizer):
    g_optimizer.zero_grad()
    loss = real_logits(D(G(z_for(G, batch_size))).detach())
    loss.backward()
    g_optimizer.step()
    return loss.item()


def g_moves_d(D, G, batch_size, g_optimizer):
    optimizer = torch.optim.SGD([*D.parameters(), *G.parameters()], lr=0.1)
    optimizer.zero_grad()
    loss = real_logits(D(G(z_for(G, batch_size))))
    loss.backward()
    optimizer.step()
    return loss.item()


def g_d_stays_frozen(D, G, batch_size, g_optimizer):
    D.requires_grad_(False)
    return g_step(D, G, batch_size, g_optimizer)


def g_leaves_eval(D, G, batch_size, g_optimizer):
    D.eval()
    return g_step(D, G, batch_size, g_optimizer)


def g_seeded(D, G, batch_size, g_optimizer):
    torch.manual_seed(1)
    return g_step(D, G, batch_size, g_optimizer)


def g_ascends(D, G, batch_size, g_optimizer):
    g_optimizer.zero_grad()
    loss = -real_logits(D(G(z_for(G, batch_size))))
    loss.backward()
    g_optimizer.step()
    return loss.item()


def g_without_d(D, G, batch_size, g_optimizer):
    g_optimizer.zero_grad()
    loss = G(z_for(G, batch_size)).square().mean()
    loss.backward()
    g_optimizer.step()
    return loss.item()


steps.wrong("G: zero_grad missing", d_step, g_no_zero, says="left over")
steps.wrong("G: zero_grad missing, fakes detached in D's step", d_detach, g_no_zero, says="left over")
steps.wrong("G: zero_grad after backward", d_step, g_zero_after_backward, says="as before")
steps.wrong("G: step missing", d_step, g_no_step, says="as before")
steps.wrong(
    "G towards the wrong label", d_step, g_without(lambda D, G, n: fake_logits(D(G(z_for(G, n))))), says="falls"
)
steps.wrong("G: sign", d_step, g_ascends, says="falls")
steps.wrong("G: fakes detached", d_step, g_without(lambda D, G, n: real_logits(D(G(z_for(G, n)).detach()))))
steps.wrong("G: D's output detached", d_step, g_detached_backward, says="cuts the graph")
steps.wrong("G: .data", d_step, g_without(lambda D, G, n: real_logits(D(G(z_for(G, n)).data))), says="as before")
steps.wrong("G: D not asked", d_step, g_without_d, says="D was not called")
steps.wrong("G's step moves D", d_step, g_moves_d, says="D's weights have moved")
steps.wrong("G: D stays frozen", d_step, g_d_stays_frozen, says="requires_grad")
steps.wrong("G: D left in eval mode", d_step, g_leaves_eval, says="D in training mode")
steps.wrong("G: batch size fixed", d_step, g_without(lambda D, G, n: real_logits(D(G(z_for(G, 64))))), says="64")
steps.wrong("G: always the same z, seeded", d_step, g_seeded, says="same z")
steps.wrong(
    "G: always the same z, fixed", d_step, g_without(lambda D, G, n: real_logits(D(G(FIXED_Z[:n])))), says="same z"
)
steps.wrong("G: fakes scaled", d_step, g_without(lambda D, G, n: real_logits(D(scale(G(z_for(G, n)))))))
steps.wrong("G: the notebook's networks", d_step, g_of_globals, says="neither was called")
steps.wrong("G: no result", d_step, lambda D, G, n, o: g_step(D, G, n, o) and None, says="Got: None")
steps.wrong("a sigmoid twice", d_step, g_step, SigmoidD(8), SizedG(20, 8), says="two: D ends in a sigmoid")
steps.wrong(
    "no sigmoid at all",
    d_step_with(real_probabilities, fake_probabilities),
    g_step_with(real_probabilities),
    EarlierD(8),
    SizedG(20, 8),
    says="BCEWithLogitsLoss",
)
steps.wrong("an argument too few", lambda D, G, real_images: 0.0, g_step, says="signature")


def step_not_written(D, G, images, optimizer):
    raise NotImplementedError()


steps.not_begun("nothing returned", lambda D, G, x, o: None, lambda D, G, n, o: None)
steps.not_begun("only D's step", d_step, lambda D, G, n, o: None)
steps.not_begun("NotImplementedError", step_not_written, step_not_written)
steps.sound("an earlier G without z_size", d_step, g_step, EarlierD(8), None)


# More of all three, odd but sound or subtly wrong


def real_drifting(D_out):
    return real_logits(D_out) + 0.001 * D_out.square().mean()


def fake_drifting(D_out):
    return fake_logits(D_out) + 0.001 * D_out.square().mean()


def real_flipped(D_out):
    """One label in twenty is wrong on purpose."""
    return F.binary_cross_entropy_with_logits(D_out, (torch.rand_like(D_out) > 0.05).float())


def by_hand(sign):
    return lambda D_out: -(torch.ones(len(D_out)) * F.logsigmoid(sign * D_out)).mean()


losses.sound(
    "logsigmoid", lambda D_out: -F.logsigmoid(D_out).mean(), lambda D_out: -F.logsigmoid(-D_out).mean(), LOGITS_D
)
losses.sound("some labels flipped", real_flipped, fake_logits, LOGITS_D)
losses.sound("scores held near 0", real_drifting, fake_drifting, LOGITS_D)
losses.sound(
    "SoftMarginLoss",
    lambda D_out: F.soft_margin_loss(D_out, torch.ones_like(D_out)),
    lambda D_out: F.soft_margin_loss(D_out, -torch.ones_like(D_out)),
    LOGITS_D,
)
losses.sound("pos_weight", toward(1.0, pos_weight=torch.tensor(2.0)), fake_logits, LOGITS_D)
losses.sound("smooth_l1_loss", toward(1.0, F.smooth_l1_loss), toward(0.0, F.smooth_l1_loss), LOGITS_D)
losses.sound(
    "squeeze(1)",
    lambda D_out: F.binary_cross_entropy_with_logits(D_out.squeeze(1), torch.ones(len(D_out))),
    lambda D_out: F.binary_cross_entropy_with_logits(D_out.squeeze(1), torch.zeros(len(D_out))),
)
losses.sound(
    "its own sigmoid for logits",
    lambda D_out: real_probabilities(torch.sigmoid(D_out)),
    lambda D_out: fake_probabilities(torch.sigmoid(D_out)),
    LOGITS_D,
    advice="BCELoss takes probabilities",
)
losses.wrong(
    "only the highest output", lambda D_out: real_logits(D_out.max().view(1, 1)), fake_logits, says="1 of them"
)
losses.wrong("fakes at a half", real_logits, toward(0.5), says="0 as the label of fakes")
losses.wrong(
    "every output with every label",
    lambda D_out: torch.cdist(D_out, torch.ones(len(D_out), 1)).mean(),
    fake_squares,
    says="64 x 64",
)
losses.wrong("(N,) times (N, 1)", by_hand(1), by_hand(-1), says="64 x 64")
losses.wrong(
    "logits clamped to probabilities",
    lambda D_out: -torch.log(D_out.clamp(1e-6, 1)).mean(),
    lambda D_out: -torch.log((1 - D_out).clamp(1e-6, 1)).mean(),
    LOGITS_D,
    says="logits",
)

_grown = torch.optim.Adam(list(D.parameters())[:3], 0.0002, (0.2, 0.999))
_grown.add_param_group({"params": list(D.parameters())[3:]})
optimizers.sound("a group added later", _grown, adam(G), D, G)
optimizers.sound("lr as a tensor, NAdam", adam(D, lr=torch.tensor(0.0002)), adam(G, kind=torch.optim.NAdam), D, G)
optimizers.wrong(
    "copies of the parameters",
    torch.optim.Adam([p.detach().clone().requires_grad_() for p in D.parameters()], 0.0002),
    adam(G),
    D,
    G,
    says="some other network",
)
optimizers.wrong("maximize", adam(D, maximize=True), adam(G), D, G, says="maximize")


def d_trained_twice(D, G, real_images, d_optimizer):
    d_step(D, G, real_images, d_optimizer)
    return d_step(D, G, real_images, d_optimizer)


def d_closure(D, G, real_images, d_optimizer):
    def closure():
        d_optimizer.zero_grad()
        loss = real_logits(D(scale(real_images))) + fake_logits(D(G(z_for(G, len(real_images))).detach()))
        loss.backward()
        return loss

    return d_optimizer.step(closure).item()


def d_autocast(D, G, real_images, d_optimizer):
    d_optimizer.zero_grad()
    with torch.autocast(real_images.device.type, dtype=torch.bfloat16):
        loss = real_logits(D(scale(real_images)).float()) + fake_logits(D(G(z_for(G, len(real_images)))).float())
    loss.backward()
    d_optimizer.step()
    return loss.item()


def d_scaled_gradients(D, G, real_images, d_optimizer):
    scaler = torch.amp.GradScaler(real_images.device.type)
    d_optimizer.zero_grad()
    loss = real_logits(D(scale(real_images))) + fake_logits(D(G(z_for(G, len(real_images)))))
    scaler.scale(loss).backward()
    scaler.step(d_optimizer)
    return loss.item()


def d_autograd(D, G, real_images, d_optimizer):
    loss = real_logits(D(scale(real_images))) + fake_logits(D(G(z_for(G, len(real_images))).detach()))
    parameters = list(D.parameters())
    for parameter, gradient in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
        parameter.grad = gradient
    d_optimizer.step()
    return loss.item()


def d_in_parts(D, G, real_images, d_optimizer):
    d_optimizer.zero_grad()
    for part in real_images.chunk(2):
        loss = real_logits(D(scale(part))) + fake_logits(D(G(z_for(G, len(part)))))
        loss.backward()
    d_optimizer.step()
    return loss.item()


def d_wasserstein_clipped(D, G, real_images, d_optimizer):
    d_optimizer.zero_grad()
    loss = D(G(z_for(G, len(real_images)))).mean() - D(scale(real_images)).mean()
    loss.backward()
    d_optimizer.step()
    for parameter in D.parameters():
        parameter.data.clamp_(-0.01, 0.01)
    return loss.item()


def d_wasserstein_penalty(D, G, real_images, d_optimizer):
    d_optimizer.zero_grad()
    real, fake = scale(real_images), G(z_for(G, len(real_images))).detach()
    share = torch.rand(len(real), 1, 1, 1, device=real.device)
    between = (share * real + (1 - share) * fake).requires_grad_()
    (gradient,) = torch.autograd.grad(D(between).sum(), between, create_graph=True)
    loss = D(fake).mean() - D(real).mean() + 0.1 * (gradient.flatten(1).norm(dim=1) - 1).square().mean()
    loss.backward()
    d_optimizer.step()
    return loss.item()


def d_relativistic(D, G, real_images, d_optimizer):
    d_optimizer.zero_grad()
    loss = F.softplus(D(G(z_for(G, len(real_images))).detach()) - D(scale(real_images))).mean()
    loss.backward()
    d_optimizer.step()
    return loss.item()


def d_batch_in_place(D, G, real_images, d_optimizer):
    real_images.mul_(2).sub_(1)
    d_optimizer.zero_grad()
    loss = real_logits(D(real_images)) + fake_logits(D(G(z_for(G, len(real_images)))))
    loss.backward()
    d_optimizer.step()
    return loss.item()


def d_on_a_copy(D, G, real_images, d_optimizer):
    return d_step(copy.deepcopy(D), G, real_images, d_optimizer)


def d_nan(D, G, real_images, d_optimizer):
    d_step(D, G, real_images, d_optimizer)
    return float("nan")


def g_both_labels(D, G, n):
    return real_logits(D(G(z_for(G, n)))) + fake_logits(D(G(z_for(G, n))))


steps.sound("D trained twice", d_trained_twice, g_step)
steps.sound("a closure", d_closure, g_step)
steps.sound("autocast", d_autocast, g_step)
steps.sound("scaled gradients", d_scaled_gradients, g_step)
steps.sound("autograd.grad", d_autograd, g_step)
steps.sound("the batch in two parts", d_in_parts, g_step)
steps.sound("Wasserstein, clipped", d_wasserstein_clipped, g_wasserstein)
steps.sound("Wasserstein with a penalty", d_wasserstein_penalty, g_wasserstein)
steps.sound("relativistic", d_relativistic, g_step)
steps.sound("the batch scaled in place", d_batch_in_place, g_step, advice="changes the batch")
steps.wrong(
    "D: other images than those given", d_with(real=lambda D, x: real_logits(D(scale(torch.rand_like(x))))), g_step
)
steps.wrong(
    "D: fakes hardly count",
    d_with(fake=lambda D, G, n: 0.001 * fake_logits(D(G(z_for(G, n))))),
    g_step,
    says="fakes count for nothing",
)
steps.wrong("D: a copy is trained", d_on_a_copy, g_step)
steps.wrong("D: nan", d_nan, g_step, says="finite")
steps.wrong("G: both labels", d_step, g_without(g_both_labels), says="falls")
steps.wrong(
    "G towards 0.1", d_step, g_without(lambda D, G, n: toward(0.1, F.mse_loss)(D(G(z_for(G, n))))), says="falls"
)
