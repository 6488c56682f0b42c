"""Large scale GAN training for high fidelity natural image synthesis (BigGAN). Brock, Donahue and Simonyan, 2019.

https://arxiv.org/abs/1809.11096, and its parents: SAGAN (Zhang et al., 2019, https://arxiv.org/abs/1805.08318) and the
projection discriminator (Miyato and Koyama, 2018, https://arxiv.org/abs/1802.05637).

    python -m further.biggan                     drawn faces, by what they wear: nothing, glasses, a hat, a beard
    python -m further.biggan FOLDER --seeds 0 1  photographs; each folder in FOLDER is a class

The idea: tell both networks which class a picture is of, so that G can be asked for one. G's BatchNorm gets a gain and
a bias that depend on the class; D adds to its answer how well picture and class go together. Once trained, G can trade
variety for quality: z is drawn from nearer to 0, where training drew most of it.

What differs from the notebook: the labels; self-attention at 16 x 16, which compares all places with each other, where
a convolution sees its surroundings only; the hinge loss; spectral norm in place of BatchNorm in D. The rest is the
notebook's, where the paper has residual blocks, batches of 2,048, lower rates and two steps of D for each of G's. Traps:
- Truncated z have other statistics in G's layers: BatchNorm's are taken afresh for each threshold.
- The papers have spectral norm in G too. It keeps vectors that fit G's latest weights, not the averaged ones. Here
  BatchNorm takes out the scale of all convolutions that it follows, so that G does without.
- The judge, a classifier, errs too: read its share for generated faces beside that for real ones.

Measured on photographs of 8 classes, two seeds, 118 seconds: 52.9 % and 52.3 % are taken for the class asked for (52.8 % of
real ones); below threshold 1, over 60 %. Fréchet 0.029 and 0.024, the notebook's 0.017 twice. README.md has the tables.
"""

import math
from functools import partial

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm
from torch.utils.data import DataLoader, RandomSampler

import helper
from common import FaceError
from further import beside, course, layers, losses
from further.classes import load, taken_for, train_classifier

SHARED = 32  # length of a class's embedding in G; 128 in the paper
BETA = 1e-4  # of the orthogonal regularisation
THRESHOLDS = {"0.25": 0.25, "0.5": 0.5, "0.75": 0.75, "1": 1.0, "1.5": 1.5, "2": 2.0, "none": math.inf}

# --- The networks -----------------------------------------------------------------------------------------------------


class Attention(nn.Module):
    """SAGAN's formulas (1) to (3): to each place j what the others hold is added, most from those i that suit it.

    x (B, C, S, S) -> the same shape; x itself while gamma is 0, as it is to begin with. h has C / 2 channels as in BigGAN's
    code, where SAGAN's text has C / 8; each of the four has a bias, which the papers' matrices do not have.
    """

    def __init__(self, channels):
        super().__init__()
        self.f, self.g = nn.Conv2d(channels, channels // 8, 1), nn.Conv2d(channels, channels // 8, 1)
        self.h, self.v = nn.Conv2d(channels, channels // 2, 1), nn.Conv2d(channels // 2, channels, 1)
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, x):
        f, g, h = (layer(x).flatten(2) for layer in (self.f, self.g, self.h))  # channels x S * S
        beta = (f.transpose(1, 2) @ g).softmax(1)  # (1): over i, the places looked at
        o = self.v((h @ beta).unflatten(2, x.shape[2:]))  # (2)
        return self.gamma * o + x  # (3)


def conditional(Generator, classes):
    """Make of the notebook's Generator one that takes z (B, z_size) and classes y, int64 (B,); pictures of 32 x 32.

    All its BatchNorms share one embedding of y and get z beside it, undivided, as in the paper's BigGAN-deep.
    """

    class Conditional(Generator):
        def __init__(self, z_size, conv_dim, image_size=32):
            super().__init__(z_size, conv_dim, image_size)
            self.embed = nn.Embedding(classes, SHARED)
            norm = partial(layers.ConditionalNorm, bias=False, momentum=None)  # None: plain means, see `settle`
            parts = [norm(part.num_features, SHARED + z_size) if isinstance(part, nn.BatchNorm2d) else part
                     for part in self.layers]
            parts.insert(9, Attention(parts[6].out_channels))  # 64 x 16 x 16: after three layers of three parts each
            self.layers = nn.Sequential(*parts)

        def forward(self, z, y):
            x, condition = z[:, :, None, None], torch.cat([self.embed(y), z], 1)
            for layer in self.layers:
                x = layer(x, condition) if isinstance(layer, layers.ConditionalNorm) else layer(x)
            return x

    return Conditional


def projecting(Discriminator, classes):
    """Make of the notebook's Discriminator one that says how real x (B, 3, 32, 32) is as one of the classes y: (B, 1).

    Miyato and Koyama's projection, y^T V phi(x) + psi(phi(x)), with the last convolution as psi. They sum phi over all
    places first; here it keeps them, so that V has a number for each.
    """

    class Projecting(layers.spectral(Discriminator)):
        def __init__(self, conv_dim, image_size=32):
            super().__init__(conv_dim, image_size)
            *phi, self.psi = self.layers
            attention = Attention(conv_dim)
            for conv in attention.children():
                spectral_norm(conv)
            self.layers = nn.Sequential(*phi[:2], attention, *phi[2:])  # 64 x 16 x 16
            self.V = spectral_norm(nn.Embedding(classes, 16 * self.psi.in_channels))

        def forward(self, x, y):
            phi = self.layers(x)  # 256 x 4 x 4
            return (self.psi(phi).flatten(1) + (self.V(y) * phi.flatten(1)).sum(1, keepdim=True)).float()

    return Projecting


# --- Training ---------------------------------------------------------------------------------------------------------


def orthogonal(G):
    """Section 3.1, the relaxed regularisation without beta: |W W^T * (1 - I)|^2, summed over G's layers.

    A row of W makes one channel. It is 0 where rows are at right angles, however long. (The code published with the paper
    adds half of its gradient.)
    """
    penalty = 0
    for layer in G.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            W = (layer.weight.transpose(0, 1) if isinstance(layer, nn.ConvTranspose2d) else layer.weight).flatten(1)
            penalty = penalty + (W @ W.T).fill_diagonal_(0).square().sum()
    return penalty


def steps(own, x, y):
    """A step of D and one of G with real pictures x in [-1, 1] and their classes y, which G is asked for too.

    The loss is the hinge loss. Returns: both losses, without the penalty, as tensors without a graph.
    """
    D, G = own.D, own.G
    fake_images = G(own.random_z(len(x), G.z_size, x.device), y)
    real, fake = D(torch.cat([x, fake_images.detach()]), y.repeat(2)).chunk(2)  # (B, 1) each
    d_loss = losses.step(F.relu(1 - real).mean() + F.relu(1 + fake).mean(), D, own.d_optimizer)
    g_loss = -D(fake_images, y).mean()
    losses.step(g_loss + BETA * orthogonal(G), G, own.g_optimizer)
    return d_loss, g_loss.detach()


def system(faces, labels, asked, classes):
    """The System for faces, uint8 (N, 3, 32, 32), and labels (N,), judged by faces of the classes `asked`, (M,)."""
    notebook = course.load()
    own = course.set_up(Discriminator=projecting(notebook.Discriminator, classes),
                        Generator=conditional(notebook.Generator, classes))
    labelled = helper.DecodedFaces(faces, labels)
    drawn = RandomSampler(labelled, num_samples=min(beside.EPOCH, len(labelled)))
    loader = DataLoader(labelled, own.batch_size, sampler=drawn, collate_fn=list)
    y = labels[:128].to(own.device)
    z = own.random_z(len(y), own.z_size, own.device)

    def sample():
        settle(own.G_average, z, y)
        return generate(own.G_average, z[:16], y[:16])

    def step(_run, real_images, labels):
        x = own.scale(own.mirror_half(real_images.to(own.device)))
        with helper.fast_math(own.device):
            d_loss, g_loss = steps(own, x, labels.to(own.device))
        own.G_average.update_parameters(own.G)
        return {"d_loss": d_loss, "g_loss": g_loss}

    return beside.System(own, lambda count: truncated(own, asked[:count]), loader, course.loop_of(step), sample=sample,
                         trouble=lambda history, *pictures: helper.signs_of_trouble({}, *pictures))


# --- Section 3.1: the truncation trick --------------------------------------------------------------------------------


def truncated_z(count, z_size, device, threshold=math.inf):
    """z (count, z_size) from N(0, 1), each number that is further than the threshold from 0 drawn again.

    Raises: FaceError unless the threshold is above 0.
    """
    if not threshold > 0:
        raise FaceError(f"the threshold is {threshold}: give a number above 0.")
    z = torch.randn(count, z_size, device=device)
    while (beyond := z.abs() > threshold).any():
        z[beyond] = torch.randn(int(beyond.sum()), device=device)
    return z


def settle(G, z, y):
    """Take the statistics of G's BatchNorm afresh: the mean of those of z (N, z_size), y (N,) in batches of 64."""
    for module in G.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
    G.train()
    with torch.no_grad():
        for some in zip(z.split(64), y.split(64), strict=True):
            G(*some)


def generate(G, z, y):
    """Faces (N, 3, 32, 32) in [-1, 1] of z and classes y, with the statistics that were settled."""
    G.eval()
    with torch.no_grad():
        return torch.cat([G(*some) for some in zip(z.split(256), y.split(256), strict=True)])


def truncated(own, y, threshold=math.inf):
    """Faces of classes y (N,) from truncated z, the averaged weights and statistics of their own: (N, 3, 32, 32)."""
    z, y = truncated_z(len(y), own.z_size, own.device, threshold), y.to(own.device)
    settle(own.G_average, z, y)
    return generate(own.G_average, z, y)


# --- Side by side -----------------------------------------------------------------------------------------------------


def curve(one, data, asked, classifier):
    """What one training's faces are like at each threshold: {name of the threshold: {heading: number}}."""
    found = {}
    for name, threshold in THRESHOLDS.items():
        system = one.system._replace(faces=lambda count, t=threshold: truncated(one.system.own, asked[:count], t))
        faces = beside.made(system, len(asked))
        found[name] = beside.distances(faces, data.reals) | {"taken": taken_for(classifier, faces, asked)}
    return found


def draw(judged, curves, asked, names, columns=10):
    """A Figure: the same z in each class (a row) at threshold 1, the curves of all seeds, the notebook's faces."""
    own = judged[1].system.own
    truncated(own, asked, 1.0)  # settles the statistics
    z = truncated_z(columns, own.z_size, own.device, 1.0).repeat(len(names), 1)
    faces = generate(own.G_average, z, torch.arange(len(names), device=own.device).repeat_interleave(columns))
    figure = beside.sheet(12, 3.8, dpi=100)
    left, middle, right = figure.subplots(1, 3, width_ratios=(1.2, 1, 1))
    left.imshow(beside.grid(faces, columns))
    left.set(title="BigGAN: the same z in each class, threshold 1", xticks=[],
             yticks=[17 + 33 * row for row in range(len(names))], yticklabels=names)
    across, up = "MS-SSIM of pairs", "sliced Wasserstein x 1000"
    for seed, found in curves.items():
        middle.plot(*zip(*((at[across], at[up]) for at in found.values()), strict=True), "o-", label=f"seed {seed}")
        for name, at in found.items():
            middle.annotate(name, (at[across], at[up]), fontsize=8)
    middle.set(title="thresholds of z", xlabel=f"{across} (left: more variety)", ylabel=f"{up} (below: nearer)")
    middle.legend()
    right.imshow(beside.grid(judged[0].faces[:80], 10))
    right.set(title=judged[0].name, xticks=[], yticks=[])
    return figure


def measure(given):
    images, labels, names = load(given.photographs)
    data, known = beside.split(images), beside.split(labels)  # the same ones kept out
    torch.manual_seed(0)
    classifier = train_classifier(data.photographs, known.photographs, len(names))
    right = taken_for(classifier, data.reals, known.reals)
    print(f"{len(names)} classes: {', '.join(names)}. The classifier is right about {right:.1%} of the faces kept out, "
          f"the mean over the classes; one that guesses, about {1 / len(names):.1%}.", flush=True)
    make = partial(system, data.photographs, known.photographs, known.reals, len(names))
    judged = beside.compare({"BigGAN": make}, data, given)
    curves = {one.seed: curve(one, data, known.reals, classifier) for one in judged if one.name == "BigGAN"}
    rows = [["real, kept out", "", *["-"] * len(beside.FORMATS), f"{right:.1%}"]]
    for seed, found in curves.items():
        rows += [[name, str(seed), *beside.formatted(at), f"{at['taken']:.1%}"] for name, at in found.items()]
    truncation = beside.markdown(["threshold", "seed", *beside.FORMATS, "taken for the class asked for"], rows)
    return f"{beside.table(judged, data)}\n\n{truncation}", draw(judged, curves, known.reals, names)


if __name__ == "__main__":
    beside.main("biggan", __doc__, measure, images=60_000)
