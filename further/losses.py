"""Other losses than the notebook's binary cross-entropy, each as the two steps that the notebook's `train` takes.

    own = course.set_up()
    own.discriminator_step, own.generator_step = losses.hinge(own)

own: what `course.set_up` gives; of it scale, and the losses or the steps, are used.
"""

import math

import torch.nn.functional as F


def step(loss, network, optimizer):
    """Move one network, without computing gradients for the other; returns the loss without its graph."""
    optimizer.zero_grad()
    loss.backward(inputs=list(network.parameters()))
    optimizer.step()
    return loss.detach()


def steps(own, d=None, g=None, bounds=(-math.inf, -math.inf)):
    """Steps with any losses, as they are own's.

    d: function of (own, D, x, fake), where x and fake are pictures (B, 3, S, S) in [-1, 1]; g: of (own, D, fake), where
    fake has its graph; bounds: D and G each take a step only if their loss is above it.
    Returns: discriminator_step, generator_step.
    """
    d = d or (lambda own, D, x, fake: own.real_loss(D(x)) + own.fake_loss(D(fake)))
    g = g or (lambda own, D, fake: own.real_loss(D(fake)))

    def move(loss, bound, network, optimizer):
        return step(loss, network, optimizer) if loss > bound else loss.detach()

    def discriminator_step(D, G, real_images, d_optimizer, fake_images):
        return move(d(own, D, own.scale(real_images), fake_images.detach()), bounds[0], D, d_optimizer)

    def generator_step(D, G, batch_size, g_optimizer, fake_images):
        return move(g(own, D, fake_images), bounds[1], G, g_optimizer)

    return discriminator_step, generator_step


def smoothed_for_d(own):
    """The notebook's losses with the label 0.9 in D's step alone, as Salimans et al. (2016) have it: G's label is 1.

    D: as the notebook's;  G: E[softplus(-D(G(z)))], which is -E[log sigmoid(D(G(z)))].
    Returns: own's discriminator_step, and generator_step.
    """

    def generator_step(D, G, batch_size, g_optimizer, fake_images):
        return step(F.softplus(-D(fake_images)).mean(), G, g_optimizer)

    return own.discriminator_step, generator_step


def hinge(own):
    """The hinge loss (Lim and Ye, 2017): pictures that D is sure enough of, beyond 1 and -1, teach it nothing more.

    D: E[max(0, 1 - D(x))] + E[max(0, 1 + D(G(z)))];  G: -E[D(G(z))].
    Returns: discriminator_step, generator_step.
    """

    def discriminator_step(D, G, real_images, d_optimizer, fake_images):
        real, fake = D(own.scale(real_images)), D(fake_images.detach())
        return step(F.relu(1 - real).mean() + F.relu(1 + fake).mean(), D, d_optimizer)

    def generator_step(D, G, batch_size, g_optimizer, fake_images):
        return step(-D(fake_images).mean(), G, g_optimizer)

    return discriminator_step, generator_step


def relativistic(own):
    """The relativistic loss (Jolicoeur-Martineau, 2019): how much more real is a photograph than a generated picture?

    D: E[softplus(D(G(z)) - D(x))];  G: the same with the two changed over. Photographs reach G's step too.
    Returns: discriminator_step, generator_step.
    """
    latest = {}

    def discriminator_step(D, G, real_images, d_optimizer, fake_images):
        latest["real"] = own.scale(real_images)
        return step(F.softplus(D(fake_images.detach()) - D(latest["real"])).mean(), D, d_optimizer)

    def generator_step(D, G, batch_size, g_optimizer, fake_images):
        return step(F.softplus(D(latest["real"]) - D(fake_images)).mean(), G, g_optimizer)

    return discriminator_step, generator_step
