"""Other losses than the notebook's binary cross-entropy, each as the two steps that the notebook's `train` takes.

    own = course.set_up()
    own.discriminator_step, own.generator_step = losses.hinge(own)

own: what `course.set_up` gives; of it scale and discriminator_step are used.
"""

import torch.nn.functional as F


def step(loss, network, optimizer):
    """Move one network, without computing gradients for the other; returns the loss without its graph."""
    optimizer.zero_grad()
    loss.backward(inputs=list(network.parameters()))
    optimizer.step()
    return loss.detach()


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
