"""Which recipe makes the better faces? Several, trained on the same photographs by the notebook's own loop, in one table.

    python benchmarks/recipes.py PHOTOGRAPHS                            the four of the comparison, 400,000 images seen
    python benchmarks/recipes.py PHOTOGRAPHS --images 65538 hinge r1    only those named
    python benchmarks/recipes.py PHOTOGRAPHS --folder runs              one that can be stopped, and trained further later

1,000 photographs are kept out of training; the faces are compared with them (benchmarks/quality.py). The table so far is
printed after every recipe. Seconds are those of training alone, on whatever machine this runs; r_v says how far D knows
the photographs by heart, from 0 to 1.
"""

import argparse
import itertools
import sys
import tempfile
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import cells
import torch
import torch.nn.functional as F
from quality import DRAWS, HELD_OUT, floor, load, measure, split, table
from torch import nn
from torch.utils.data import DataLoader

import helper
from further import best as further_best

NOTEBOOK = cells.load()


# --- The recipes ------------------------------------------------------------------------------------------------------


class LearnersDiscriminator(nn.Module):
    """What most learners of this course hand in: three strided convolutions and a linear layer."""

    def __init__(self, conv_dim):
        super().__init__()
        self.conv1 = nn.Conv2d(3, conv_dim, 4, 2, 1, bias=False)
        self.conv2 = nn.Conv2d(conv_dim, 2 * conv_dim, 4, 2, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(2 * conv_dim)
        self.conv3 = nn.Conv2d(2 * conv_dim, 4 * conv_dim, 4, 2, 1, bias=False)
        self.norm3 = nn.BatchNorm2d(4 * conv_dim)
        self.last = nn.Linear(4 * conv_dim * 4 * 4, 1)

    def forward(self, x):
        x = F.leaky_relu(self.conv1(x), 0.2)
        x = F.leaky_relu(self.norm2(self.conv2(x)), 0.2)
        x = F.leaky_relu(self.norm3(self.conv3(x)), 0.2)
        return self.last(x.flatten(1)).float()


class LearnersGenerator(nn.Module):
    """What most learners of this course hand in: a linear layer and three transposed convolutions."""

    def __init__(self, z_size, conv_dim):
        super().__init__()
        self.z_size, self.conv_dim = z_size, conv_dim
        self.first = nn.Linear(z_size, 4 * conv_dim * 4 * 4)
        self.up1 = nn.ConvTranspose2d(4 * conv_dim, 2 * conv_dim, 4, 2, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(2 * conv_dim)
        self.up2 = nn.ConvTranspose2d(2 * conv_dim, conv_dim, 4, 2, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(conv_dim)
        self.up3 = nn.ConvTranspose2d(conv_dim, 3, 4, 2, 1, bias=False)

    def forward(self, z):
        x = self.first(z).view(-1, 4 * self.conv_dim, 4, 4)
        x = F.relu(self.norm1(self.up1(x)))
        x = F.relu(self.norm2(self.up2(x)))
        return torch.tanh(self.up3(x))


def tutorial_networks(conv_dim, z_size):
    """The networks of PyTorch's DCGAN tutorial (Inkawhich), one layer shorter each, for 32 instead of 64 pixels."""

    def down(inward, outward):
        return nn.Conv2d(inward, outward, 4, 2, 1, bias=False), nn.BatchNorm2d(outward), nn.LeakyReLU(0.2)

    def up(inward, outward, *where):
        return nn.ConvTranspose2d(inward, outward, 4, *where, bias=False), nn.BatchNorm2d(outward), nn.ReLU()

    D = nn.Sequential(
        nn.Conv2d(3, conv_dim, 4, 2, 1, bias=False), nn.LeakyReLU(0.2),
        *down(conv_dim, 2 * conv_dim), *down(2 * conv_dim, 4 * conv_dim),
        nn.Conv2d(4 * conv_dim, 1, 4, bias=False), nn.Flatten(),
    )
    G = nn.Sequential(
        nn.Unflatten(1, (z_size, 1, 1)),
        *up(z_size, 4 * conv_dim, 1, 0), *up(4 * conv_dim, 2 * conv_dim, 2, 1), *up(2 * conv_dim, conv_dim, 2, 1),
        nn.ConvTranspose2d(conv_dim, 3, 4, 2, 1, bias=False), nn.Tanh(),
    )
    for network in (D, G):
        for m in network.modules():
            if isinstance(m, (nn.Conv2d, nn.ConvTranspose2d)):
                nn.init.normal_(m.weight, 0.0, 0.02)
            elif isinstance(m, nn.BatchNorm2d):
                nn.init.normal_(m.weight, 1.0, 0.02)
    G.z_size = z_size
    return D, G


def _plain_label(D_out):
    return F.binary_cross_entropy_with_logits(D_out.float(), torch.ones_like(D_out, dtype=torch.float32))


def _plain_fake(D_out):
    return F.binary_cross_entropy_with_logits(D_out.float(), torch.zeros_like(D_out, dtype=torch.float32))


def _unchanged(images):
    return images


def learners(size):
    """32 channels, batch 128, z uniform in [-1, 1], label 1, no mirror images, the generator as it is."""
    def uniform(count, z_size, device):
        return torch.rand(count, z_size, device=device) * 2 - 1

    names = cells.load(real_loss=_plain_label, mirror_half=_unchanged, random_z=uniform)
    D, G = LearnersDiscriminator(32), LearnersGenerator(100, 32)
    D.apply(names.weights_init_normal), G.apply(names.weights_init_normal)
    return SimpleNamespace(names=names, D=D, G=G, batch_size=128, learning_rate=2e-4, betas=(0.5, 0.999),
                           averaged=False)


def tutorial(size):
    """64 channels, batch 128, normal z of 100, label 1, no mirror images, the generator as it is."""
    names = cells.load(real_loss=_plain_label, fake_loss=_plain_fake, mirror_half=_unchanged)
    D, G = tutorial_networks(64, 100)
    return SimpleNamespace(names=names, D=D, G=G, batch_size=128, learning_rate=2e-4, betas=(0.5, 0.999),
                           averaged=False)


def default(size, **instead):
    """The notebook's own cells and numbers; `instead` replaces single ones, for the rows that change one thing."""
    own = cells.set_up(image_size=size, device=torch.device("cpu"), **instead)
    return SimpleNamespace(names=own, D=own.D, G=own.G, batch_size=own.batch_size, learning_rate=own.learning_rate,
                           betas=own.betas, averaged=True)


def slower(size, **instead):
    """The notebook's with half its learning rate."""
    return default(size, learning_rate=2e-4, **instead)


def in_64s(size, **instead):
    """Slower, and with batches of 64: what most of the recipes below start from."""
    return slower(size, batch_size=64, **instead)


def falling(size, **instead):
    """With a learning rate that falls to 0 over the last two fifths."""
    recipe = default(size, **instead)
    recipe.adam = further_best.FallingAdam
    return recipe


def best(size):
    """further/best.py: falling, with pictures for D augmented after 800,000 photographs."""
    return falling(size, Discriminator=further_best.Discriminator)


class EarlyAugmentation(further_best.Discriminator):
    """Sees augmented pictures from the start: none at first, four in five after 800,000 photographs."""

    def extra_repr(self):
        return "sees augmented pictures early"

    def share(self):
        return min(0.8, self.seen / 3_000_000)


def float32(size):
    """With all convolutions in float32."""
    recipe = in_64s(size)
    recipe.fast_math = lambda device: torch.autocast(device.type, enabled=False)
    return recipe


def two_time_scales(size):
    """With twice the learning rate for D (Heusel et al., 2017)."""
    recipe = in_64s(size)
    recipe.d_learning_rate = 2 * recipe.learning_rate
    return recipe


def _step(loss, network, optimizer):
    optimizer.zero_grad()
    loss.backward(inputs=list(network.parameters()))
    optimizer.step()
    return loss.detach()


def hinge(size):
    """With the hinge loss (Lim and Ye, 2017)."""

    def discriminator_step(D, G, real_images, d_optimizer, fake_images):
        real, fake = D(NOTEBOOK.scale(real_images)), D(fake_images.detach())
        return _step(F.relu(1 - real).mean() + F.relu(1 + fake).mean(), D, d_optimizer)

    def generator_step(D, G, batch_size, g_optimizer, fake_images):
        return _step(-D(fake_images).mean(), G, g_optimizer)

    return in_64s(size, discriminator_step=discriminator_step, generator_step=generator_step)


def relativistic(size):
    """With the relativistic loss: how much more real is one than the other? (Jolicoeur-Martineau, 2019)."""
    latest = {}  # G's step compares with real pictures too

    def discriminator_step(D, G, real_images, d_optimizer, fake_images):
        latest["real"] = NOTEBOOK.scale(real_images)
        return _step(F.softplus(D(fake_images.detach()) - D(latest["real"])).mean(), D, d_optimizer)

    def generator_step(D, G, batch_size, g_optimizer, fake_images):
        return _step(F.softplus(D(latest["real"]) - D(fake_images)).mean(), G, g_optimizer)

    return in_64s(size, discriminator_step=discriminator_step, generator_step=generator_step)


def r1(size, scaled=1, every=16):
    """With R1 (Mescheder et al., 2018) at every 16th step, of the weight that Karras et al. (2020) give."""
    steps = itertools.count()

    def discriminator_step(D, G, real_images, d_optimizer, fake_images):
        x = NOTEBOOK.scale(real_images).requires_grad_()
        D_out = D(x)
        loss = NOTEBOOK.real_loss(D_out) + NOTEBOOK.fake_loss(D(fake_images.detach()))
        if next(steps) % every == 0:
            slope, = torch.autograd.grad(D_out.sum(), x, create_graph=True)
            gamma = scaled * 0.0002 * size**2 / len(x)
            loss = loss + every * gamma / 2 * slope.square().sum((1, 2, 3)).mean()
        return _step(loss, D, d_optimizer)

    return in_64s(size, discriminator_step=discriminator_step)


class SpectralDiscriminator(NOTEBOOK.Discriminator):
    """The notebook's Discriminator, with spectral normalisation in place of BatchNorm (Miyato et al., 2018)."""

    def __init__(self, conv_dim, image_size=32):
        super().__init__(conv_dim, image_size)
        layers = (m for m in self.layers if not isinstance(m, nn.BatchNorm2d))
        self.layers = nn.Sequential(
            *(nn.utils.parametrizations.spectral_norm(m) if isinstance(m, nn.Conv2d) else m for m in layers))


class WithShortcut(nn.Module):
    """A layer that halves or doubles the size, with a shortcut past it (He et al., 2016): what both make, added."""

    def __init__(self, conv, *behind):
        super().__init__()
        self.layer = nn.Sequential(conv, *behind)
        resize = nn.AvgPool2d(2) if isinstance(conv, nn.Conv2d) else nn.Upsample(scale_factor=2)
        self.shortcut = nn.Sequential(resize, nn.Conv2d(conv.in_channels, conv.out_channels, 1))

    def forward(self, x):
        return self.layer(x) + self.shortcut(x)


def residual(size):
    """With a shortcut past each layer of stride 2 that BatchNorm follows, in D and in G."""
    recipe = in_64s(size)
    for network in (recipe.D, recipe.G):
        old, new = list(network.layers), []
        while old:
            if getattr(old[0], "stride", None) == (2, 2) and isinstance(old[1], nn.BatchNorm2d):
                new.append(WithShortcut(*old[:3]))
                del old[:3]
            else:
                new.append(old.pop(0))
        network.layers = nn.Sequential(*new)
        network.apply(NOTEBOOK.weights_init_normal)
    return recipe


COMPARED = {"learners": learners, "tutorial": tutorial, "default": default, "best": best}
RECIPES = COMPARED | {
    # the default with another learning rate
    "rate_0002": slower,
    "rate_0008": partial(default, learning_rate=8e-4),
    # rate_0002 with one thing changed
    "augmented": partial(slower, Discriminator=EarlyAugmentation),
    "batch_16": partial(slower, batch_size=16),
    "batch_64": in_64s,
    "batch_128": partial(slower, batch_size=128),
    "beta1_0": partial(slower, betas=(0.0, 0.999)),
    "beta2_099": partial(slower, betas=(0.1, 0.99)),
    "z_256": partial(slower, z_size=256),
    # batch_64 with one thing changed
    "augmented_64": partial(in_64s, Discriminator=EarlyAugmentation),
    "float32": float32,
    "without_mirror": partial(in_64s, mirror_half=_unchanged),
    "without_smoothing": partial(in_64s, real_loss=_plain_label),
    "beta1_05": partial(in_64s, betas=(0.5, 0.999)),
    "channels_32": partial(in_64s, d_conv_dim=32, g_conv_dim=32),
    "channels_96": partial(in_64s, d_conv_dim=96, g_conv_dim=96),
    "z_64": partial(in_64s, z_size=64),
    "two_time_scales": two_time_scales,
    "hinge": hinge,
    "relativistic": relativistic,
    "r1": r1,
    "r1_stronger": partial(r1, scaled=4),
    "r1_weaker": partial(r1, scaled=0.25),
    "residual": residual,
    "spectral_norm": partial(in_64s, Discriminator=SpectralDiscriminator),
    # best without augmented pictures, augmented_64 with the falling rate
    "falling": falling,
    "augmented_64_falling": partial(falling, Discriminator=EarlyAugmentation, batch_size=64, learning_rate=2e-4),
}


# --- The comparison ---------------------------------------------------------------------------------------------------


def train(recipe, photographs, images, folder):
    """Train a recipe on photographs, uint8 (N, 3, S, S), until about `images` were seen. Returns the TrainingRun.

    A folder that holds an earlier training of the same networks is gone on with, from its last whole epoch. A learning
    rate that falls does so towards the end that was set: then only a training towards the same end is.
    """
    names = recipe.names
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    D, G = (network.to(device, memory_format=torch.channels_last) for network in (recipe.D, recipe.G))
    faces = helper.DecodedFaces(photographs, torch.zeros(len(photographs)))
    loader = DataLoader(faces, recipe.batch_size, shuffle=True, collate_fn=list)
    G_average = names.averaged(G)
    d_learning_rate = getattr(recipe, "d_learning_rate", recipe.learning_rate)
    epochs = max(1, round(images / len(photographs)))
    adam, settings = partial(torch.optim.Adam, fused=True), {"D": str(D), "G": str(G)}
    if hasattr(recipe, "adam"):
        settings["steps"] = epochs * len(loader)
        adam = partial(recipe.adam, steps=settings["steps"])
    optimizers = [adam(network.parameters(), rate, recipe.betas)
                  for network, rate in ((D, d_learning_rate), (G, recipe.learning_rate))]
    run = helper.TrainingRun(folder, epochs, names.random_z(8, G.z_size, device), settings,
                             D=D, G=G, G_average=G_average, d_optimizer=optimizers[0], g_optimizer=optimizers[1])
    with mock.patch.object(helper, "fast_math", getattr(recipe, "fast_math", helper.fast_math)):
        names.train(D, G, G_average, loader, *optimizers, names.discriminator_step, names.generator_step, run)
    return run


def faces_of(G, recipe):
    """DRAWS x HELD_OUT faces of a generator that the recipe trained, uint8 (N, 3, S, S)."""
    z = recipe.names.random_z(DRAWS * HELD_OUT, recipe.G.z_size, next(G.parameters()).device)
    return torch.from_numpy(helper.to_pixels(helper.generate(G, z))).permute(0, 3, 1, 2).contiguous()


def overfitting(recipe, reals, photographs):
    """How far D knows the photographs that it was trained on by heart: r_v of Karras et al. (2020), "Training Generative
    Adversarial Networks with Limited Data". 0: D answers to photographs kept out of training just as it does to those;
    1: it takes them for generated ones. Faces uint8 (N, 3, S, S).
    """
    device = next(recipe.D.parameters()).device
    recipe.D.eval()
    with torch.no_grad():
        known, new, made = (
            recipe.D(recipe.names.scale(faces[:HELD_OUT].to(device).float() / 255)).mean().item()
            for faces in (photographs, reals, faces_of(recipe.G, recipe))
        )
    return (known - new) / (known - made)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photographs", help="folder of folders of pictures, as ImageFolder reads it")
    parser.add_argument("recipes", nargs="*", help=f"which of {', '.join(RECIPES)} (default: {', '.join(COMPARED)})")
    parser.add_argument("--images", type=int, default=400_000, help="images seen by each recipe (default 400,000)")
    parser.add_argument("--size", type=int, default=32, help="width in pixels: 32 or 64 (default 32)")
    parser.add_argument("--seed", type=int, default=0, help="of the weights and of all that is drawn (default 0)")
    parser.add_argument("--folder", help="keep each training here, and go on with what is kept (default: keep none)")
    given = parser.parse_intermixed_args()  # names may follow options
    unknown = set(given.recipes) - set(RECIPES)
    if unknown:
        parser.error(f"there is no recipe {', '.join(unknown)}; there are {', '.join(RECIPES)}")
    try:
        photographs, reals = split(load(given.photographs, given.size))
    except (helper.FaceError, ValueError) as error:
        sys.exit(f"recipes.py: {error}")
    print(f"{given.size} x {given.size} pixels, {len(photographs):,} photographs trained on, {len(reals):,} kept out\n")
    results = {"photographs": floor(reals, photographs)}
    for name in given.recipes or COMPARED:
        torch.manual_seed(given.seed)
        with tempfile.TemporaryDirectory() as folder:
            recipe = RECIPES[name](given.size)
            folder = Path(given.folder or folder) / f"{name}-{given.size}-{given.seed}"
            try:
                run = train(recipe, photographs, given.images, folder)
            except helper.FaceError as error:
                sys.exit(f"recipes.py: {error}")
        generators = {name: recipe.G}
        if recipe.averaged:
            generators = {name: run.parts["G_average"], f"{name}, not averaged": recipe.G}
        learned = f"{run.images:,} images, {run.seconds:,.0f} s, r_v {overfitting(recipe, reals, photographs):.2f}"
        for row, G in generators.items():
            row = f"{row}, {learned}"
            results[row] = measure(faces_of(G, recipe), reals, photographs)
        print(table(results), flush=True)


if __name__ == "__main__":
    main()
