"""Right and wrong training steps that take fake_images, as the notebook's train() gives them."""

import copy

import torch
import torch.nn.functional as F
from answers import Answers
from answers_networks import EarlierD, SigmoidD, SizedG
from answers_training import (
    FIXED_Z,
    d_step,
    fake_logits,
    fake_probabilities,
    g_step,
    real_logits,
    real_probabilities,
    scale,
    toward,
    z_for,
)
from torch import nn

steps = Answers("test_training_steps")


def same(x):
    return x


def step_of_d(
    fakes=None,
    given=lambda fake_images: fake_images.detach(),
    show=same,
    real=real_logits,
    fake=fake_logits,
    scaled=scale,
    optimise=None,
):
    """A step of D in parts, so that each answer is one part done in its own way."""

    def discriminator_step(D, G, real_images, d_optimizer, fake_images=None):
        d_optimizer.zero_grad()
        n = len(real_images)
        if fake_images is None:
            fake_images = fakes(G, n) if fakes else G(z_for(G, n)).detach()
        else:
            fake_images = given(fake_images)
        loss = real(D(show(scaled(real_images)))) + fake(D(show(fake_images)))
        if optimise:
            optimise(loss, D, d_optimizer)
        else:
            loss.backward()
            d_optimizer.step()
        return loss.item()

    return discriminator_step


def step_of_g(fakes=None, given=same, show=same, real=real_logits, optimise=None):
    """The same for a step of G."""

    def generator_step(D, G, batch_size, g_optimizer, fake_images=None):
        g_optimizer.zero_grad()
        if fake_images is None:
            fake_images = fakes(G, batch_size) if fakes else G(z_for(G, batch_size))
        else:
            fake_images = given(fake_images)
        loss = real(D(show(fake_images)))
        if optimise:
            optimise(loss, G, g_optimizer)
        else:
            loss.backward()
            g_optimizer.step()
        return loss.item()

    return generator_step


D_STEP, G_STEP = step_of_d(), step_of_g()
D, G = EarlierD(8), SizedG(20, 8)


# Sound


def noisy(x):
    return x + 0.3 * torch.randn_like(x)


def moved(x):
    """Every picture of the batch, moved by the same row and column, black where nothing is left."""
    return F.pad(x, (1, 0, 1, 0))[:, :, :-1, :-1]


def moved_by(pixels):
    """Each picture moved on its own, by up to so many pixels."""

    def move(x):
        padded = F.pad(x, (pixels,) * 4, mode="replicate")
        size = x.shape[-1]
        rows, columns = (torch.randint(0, 2 * pixels + 1, (2, len(x)))).tolist()
        places = enumerate(zip(rows, columns, strict=True))
        return torch.stack([padded[i, :, row : row + size, column : column + size] for i, (row, column) in places])

    return move


def augmented(x):
    """Brightness, contrast and place of each picture changed a little, as differentiable augmentation does."""
    x = x + (torch.rand(len(x), 1, 1, 1, device=x.device) - 0.5) * 0.4
    mean = x.mean((1, 2, 3), keepdim=True)
    return moved_by(2)(mean + (x - mean) * (0.75 + 0.5 * torch.rand(len(x), 1, 1, 1, device=x.device)))


def with_a_hole(x):
    """A square cut out of each picture."""
    kept = torch.ones_like(x[:, :1])
    for i, (row, column) in enumerate(torch.randint(0, 24, (len(x), 2)).tolist()):
        kept[i, :, row : row + 8, column : column + 8] = 0
    return x * kept


def d_noise_in_place(D, G, real_images, d_optimizer, fake_images=None):
    d_optimizer.zero_grad()
    fake_images = (G(z_for(G, len(real_images))) if fake_images is None else fake_images).detach().clone()
    fake_images += 0.1 * torch.randn_like(fake_images)
    real = scale(real_images)
    real += 0.1 * torch.randn_like(real)
    loss = real_logits(D(real)) + fake_logits(D(fake_images))
    loss.backward()
    d_optimizer.step()
    return loss.detach()


def g_looks_ahead(D, G, batch_size, g_optimizer, fake_images=None):
    """D takes a step on a copy of itself, and that copy is asked (Metz et al., 2017)."""
    if fake_images is None:
        fake_images = G(z_for(G, batch_size))
    ahead = copy.deepcopy(D)
    optimizer = torch.optim.SGD(ahead.parameters(), lr=0.01)
    fake_logits(ahead(fake_images.detach())).backward()
    optimizer.step()
    g_optimizer.zero_grad()
    loss = real_logits(ahead(fake_images))
    loss.backward()
    g_optimizer.step()
    return loss.item()


def d_of_both_in_one(D, G, real_images, d_optimizer, fake_images=None):
    d_optimizer.zero_grad()
    if fake_images is None:
        with torch.no_grad():
            fake_images = G(z_for(G, len(real_images)))
    both = D(torch.cat([scale(real_images), fake_images.detach()]))
    real, fake = both.chunk(2)
    loss = real_logits(real) + fake_logits(fake)
    loss.backward()
    d_optimizer.step()
    return loss.detach()


def d_keeps_the_graph(D, G, real_images, d_optimizer, fake_images=None):
    d_optimizer.zero_grad()
    if fake_images is None:
        fake_images = G(z_for(G, len(real_images)))
    loss = real_logits(D(scale(real_images))) + fake_logits(D(fake_images))
    loss.backward(inputs=list(D.parameters()), retain_graph=True)
    d_optimizer.step()
    return loss.detach()


def by_scaler(loss, net, optimizer):
    scaler = torch.amp.GradScaler("cpu", init_scale=256.0)
    scaler.scale(loss).backward()
    scaler.unscale_(optimizer)
    nn.utils.clip_grad_norm_(net.parameters(), 10.0)
    scaler.step(optimizer)
    scaler.update()


def with_schedule(loss, net, optimizer):
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda _: 1.0)
    loss.backward()
    optimizer.step()
    schedule.step()


def by_value(loss, net, optimizer):
    loss.backward()
    nn.utils.clip_grad_value_(net.parameters(), 0.5)
    optimizer.step()


def without_autocast(loss):
    """BCELoss, which autocast on a GPU refuses, outside of it."""

    def outside(D_out):
        with torch.autocast(D_out.device.type, enabled=False):
            return loss(D_out.float())

    return outside


class PrivateZ:
    """z drawn by a generator of random numbers of its own."""

    def __init__(self):
        self.source = torch.Generator().manual_seed(7)

    def __call__(self, G, n):
        return G(torch.randn(n, G.z_size, generator=self.source).to(next(G.parameters()).device))


def g_top_half(D_out):
    """The better half of the fakes only (Sinha et al., 2020)."""
    return real_logits(D_out.topk(len(D_out) // 2 + 1, dim=0).values)


def mixed_z(G, n):
    """z on the sphere."""
    return G(F.normalize(z_for(G, n), dim=1) * G.z_size**0.5)


steps.sound("fakes given or made", D_STEP, G_STEP)
steps.sound("with networks", D_STEP, G_STEP, D, G)
steps.sound("noise on real and fake alike", step_of_d(show=noisy), step_of_g(show=noisy))
steps.sound("noise on detached copies, in place", d_noise_in_place, G_STEP)
steps.sound("all moved by a row and a column", step_of_d(show=moved), step_of_g(show=moved), D, G)
steps.sound("each moved by up to two pixels", step_of_d(show=moved_by(2)), step_of_g(show=moved_by(2)))
steps.sound("each moved by up to four pixels", step_of_d(show=moved_by(4)), step_of_g(show=moved_by(4)))
steps.sound("differentiable augmentation", step_of_d(show=augmented), step_of_g(show=augmented), D, G)
steps.sound("holes", step_of_d(show=with_a_hole), step_of_g(show=with_a_hole))
steps.sound("mirrored", step_of_d(show=lambda x: x.flip(-1)), step_of_g(show=lambda x: x.flip(-1)))
steps.sound("a D one step ahead", D_STEP, g_looks_ahead, D, G)
steps.sound("both in one batch", d_of_both_in_one, G_STEP, D, G)
steps.sound("graph kept for G", d_keeps_the_graph, G_STEP, D, G)
steps.sound("GradScaler with clipping", step_of_d(optimise=by_scaler), step_of_g(optimise=by_scaler))
steps.sound("a schedule", step_of_d(optimise=with_schedule), step_of_g(optimise=with_schedule))
steps.sound("clipped values", step_of_d(optimise=by_value), step_of_g(optimise=by_value))
steps.sound("a generator of random numbers", step_of_d(fakes=PrivateZ()), step_of_g(fakes=PrivateZ()))
steps.sound("z on a sphere", step_of_d(fakes=mixed_z), step_of_g(fakes=mixed_z))
steps.sound("the better half of the fakes", D_STEP, step_of_g(real=g_top_half))
steps.sound(
    "BCELoss outside autocast",
    step_of_d(real=without_autocast(real_probabilities), fake=without_autocast(fake_probabilities)),
    step_of_g(real=without_autocast(real_probabilities)),
    SigmoidD(8),
    G,
)
steps.sound("channels_last", step_of_d(show=lambda x: x.contiguous(memory_format=torch.channels_last)), G_STEP)
steps.sound("no argument in D's step", d_step, G_STEP, advice="have no argument fake_images")
steps.sound("no argument in G's step", D_STEP, g_step, advice="have no argument fake_images")


def g_ignores_given(D, G, batch_size, g_optimizer, fake_images=None):
    return g_step(D, G, batch_size, g_optimizer)


steps.sound("given fakes ignored", D_STEP, g_ignores_given, advice="work done twice")


# Sound alone, wrong when fakes are given


def d_or(D, G, real_images, d_optimizer, fake_images=None):
    fake_images = fake_images or G(z_for(G, len(real_images)))
    return D_STEP(D, G, real_images, d_optimizer, fake_images)


def g_nothing_when_given(D, G, batch_size, g_optimizer, fake_images=None):
    if fake_images is None:
        return G_STEP(D, G, batch_size, g_optimizer)


steps.wrong("given fakes not detached", step_of_d(given=same), G_STEP, says="a second time")
steps.wrong("given fakes cut for good", step_of_d(given=lambda x: x.detach_()), G_STEP, says="detach_() cuts")
steps.wrong("given fakes changed in place", step_of_d(given=lambda x: x.data.mul_(0.9)), G_STEP, says="in place")
steps.wrong("fake_images or G(z)", d_or, G_STEP, says="is None")
steps.wrong("given fakes detached in G's step", D_STEP, step_of_g(given=lambda x: x.detach()), says="with their graph")
steps.wrong("given fakes as .data in G's step", D_STEP, step_of_g(given=lambda x: x.data), says="with their graph")
steps.wrong("given fakes scaled in D's step", step_of_d(given=lambda x: scale(x.detach())), G_STEP, says="fakes from")
steps.wrong("given fakes scaled in G's step", D_STEP, step_of_g(given=scale), says="fakes from")
steps.wrong("nothing done when fakes are given", D_STEP, g_nothing_when_given, says="too much stands")


def wrong_when_given(step, otherwise):
    """One step when fakes are made, another when they are given."""
    return lambda net, other, batch, optimizer, fake_images=None: (
        otherwise(net, other, batch, optimizer, fake_images)
        if fake_images is not None
        else step(net, other, batch, optimizer)
    )


steps.wrong(
    "D: labels swapped when fakes are given",
    wrong_when_given(D_STEP, step_of_d(real=fake_logits, fake=real_logits)),
    G_STEP,
    says="a fall on real images",
)
steps.wrong(
    "D: not scaled when fakes are given", wrong_when_given(D_STEP, step_of_d(scaled=same)), G_STEP, says="not scaled"
)
steps.wrong(
    "G: label of fakes when they are given", D_STEP, wrong_when_given(G_STEP, step_of_g(real=fake_logits)), says="falls"
)
steps.wrong(
    "G: no step when fakes are given",
    D_STEP,
    wrong_when_given(G_STEP, step_of_g(optimise=lambda loss, net, optimizer: loss.backward())),
    says="as before",
)


# Wrong either way


def d_last_part(D, G, real_images, d_optimizer, fake_images=None):
    d_optimizer.zero_grad()
    if fake_images is None:
        fake_images = G(z_for(G, len(real_images)))
    for real, fake in zip(real_images.chunk(3), fake_images.detach().chunk(3), strict=True):
        loss = real_logits(D(scale(real))) + fake_logits(D(fake))
    loss.backward()
    d_optimizer.step()
    return loss.item()


def repeated(G, n):
    return G(torch.randn(n, 1).expand(n, G.z_size))


def d_exchanged(G, D, real_images, d_optimizer, fake_images=None):
    return D_STEP(D, G, real_images, d_optimizer, fake_images)


def d_other_names(first, second, real_images, d_optimizer, fake_images=None):
    return D_STEP(second, first, real_images, d_optimizer, fake_images)


def g_batch_first(batch_size, D, G, g_optimizer, fake_images=None):
    return G_STEP(D, G, batch_size, g_optimizer, fake_images)


def d_on_fixed_z(G, n):
    return G(FIXED_Z)


def d_cuda(D, G, real_images, d_optimizer, fake_images=None):
    if not torch.cuda.is_available():
        raise AssertionError("Torch not compiled with CUDA enabled")  # PyTorch's own words and type
    real_images.cuda()


def d_float64(D, G, real_images, d_optimizer, fake_images=None):
    return D_STEP(D, G, real_images.double(), d_optimizer, fake_images)


def only_the_probes(step):
    """A step that does nothing with networks that are not as it knows them."""
    return lambda D, G, batch, optimizer, fake_images=None: (
        0.5 if isinstance(D, EarlierD) else step(D, G, batch, optimizer, fake_images)
    )


steps.wrong("D: the last part of the batch only", d_last_part, G_STEP, says="real images to count")
steps.wrong("D: one number all through z", step_of_d(fakes=repeated), G_STEP, says="repeated through")
steps.wrong("G: one number all through z", D_STEP, step_of_g(fakes=repeated), says="repeated through")
steps.wrong("D: trained on fixed_z", step_of_d(fakes=d_on_fixed_z), G_STEP, says="fixed_z")
steps.wrong("G: trained on fixed_z", D_STEP, step_of_g(fakes=d_on_fixed_z), says="fixed_z")
steps.wrong("D: arguments in another order", d_exchanged, G_STEP, says="discriminator_step(D, G, real_images, d_optimizer)")
steps.wrong("D: exchanged under other names", d_other_names, G_STEP, says="in this order")
steps.wrong("G: arguments in another order", D_STEP, g_batch_first, says="generator_step(D, G, batch_size, g_optimizer)")
steps.wrong("D: .cuda() without a GPU", d_cuda, G_STEP, says="x.to(device)")
steps.wrong("nothing done with your D", only_the_probes(D_STEP), G_STEP, D, G, says="to move your D")
steps.wrong("nothing done with your G", D_STEP, only_the_probes(G_STEP), D, G, says="to move your G")
steps.wrong("D: scaled to [-0.5, 0.5]", step_of_d(scaled=lambda x: x - 0.5), G_STEP, says="another scale")
steps.wrong("D: bytes", step_of_d(scaled=lambda x: x * 255), G_STEP, says="another scale")
steps.wrong("D: noise on real images alone, not scaled", step_of_d(scaled=noisy), G_STEP, says="not scaled")


# Gradients left over, when fakes are given; further arguments of the learner's own


def d_no_zero_when_given(D, G, real_images, d_optimizer, fake_images=None):
    if fake_images is None:
        return D_STEP(D, G, real_images, d_optimizer)
    loss = real_logits(D(scale(real_images))) + fake_logits(D(fake_images.detach()))
    loss.backward()
    d_optimizer.step()
    return loss.item()


def g_no_zero_when_given(D, G, batch_size, g_optimizer, fake_images=None):
    if fake_images is None:
        return G_STEP(D, G, batch_size, g_optimizer)
    loss = real_logits(D(fake_images))
    loss.backward()
    g_optimizer.step()
    return loss.item()


def d_smooth(D, G, real_images, d_optimizer, smooth=True):
    """The earlier edition's, with a setting of its own."""
    return step_of_d(real=SMOOTH if smooth else real_logits)(D, G, real_images, d_optimizer)


def d_any_more(D, G, real_images, d_optimizer, *given):
    return D_STEP(D, G, real_images, d_optimizer, *given)


def d_by_name_only(D, G, real_images, d_optimizer, *, fake_images=None):
    return D_STEP(D, G, real_images, d_optimizer, fake_images)


SMOOTH = toward(0.9)

steps.wrong("D: zero_grad missing when fakes are given", d_no_zero_when_given, G_STEP, says="left over")
steps.wrong("G: zero_grad missing when fakes are given", D_STEP, g_no_zero_when_given, says="left over")
steps.sound("any further arguments", d_any_more, G_STEP, D, G)
steps.sound("a further argument of one's own", d_smooth, G_STEP, D, G, advice="have no argument fake_images")
steps.sound("fake_images by name only", d_by_name_only, G_STEP, advice="have no argument fake_images")
steps.sound("compiled networks", D_STEP, G_STEP, torch.compile(EarlierD(8)), torch.compile(SizedG(20, 8)))
steps.sound("compiled steps", torch.compile(D_STEP), torch.compile(G_STEP), D, G)
