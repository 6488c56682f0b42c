"""Large scale GAN training for high fidelity natural image synthesis (BigGAN). Brock, Donahue and Simonyan, 2019.

https://arxiv.org/abs/1809.11096, and its parents: SAGAN (Zhang et al., 2019, https://arxiv.org/abs/1805.08318) and the
projection discriminator (Miyato and Koyama, 2018, https://arxiv.org/abs/1802.05637).

    python -m further.biggan                     drawn faces, by what they wear: nothing, glasses, a hat, a beard
    python -m further.biggan FOLDER --seeds 0 1  photographs; each folder in FOLDER is a class

Photographs whose classes stand in a list, a labels.csv with the columns file, age, sex, are sorted by links:

    for file, age, sex in list(csv.reader(open("labels.csv")))[1:]:
        if age:
            folder = f"sorted/{sex} from {max(start for start in (0, 18, 35, 55) if start <= int(age))}"
            os.makedirs(folder, exist_ok=True)
            os.symlink(os.path.abspath(f"photographs/{file}"), f"{folder}/{file}")

The idea: tell both networks which class a picture is of, so that G can be asked for one. G's BatchNorm gets a gain and
a bias that depend on the class; D adds to its answer how well picture and class go together. Once trained, G can trade
variety for quality: z is drawn from nearer to 0, where training drew most of it.

What differs from the notebook: the labels; residual blocks; self-attention at 16 x 16, which compares all places with
each other, where a convolution sees its surroundings only; spectral norm in both; the hinge loss. What differs from the
paper: widths of 24, batches of 32 in place of 2,048, one step of D for each of G's in place of two, and larger ones.

Traps:
- Truncated z have other statistics in G's layers. BatchNorm's are taken afresh for each threshold.
- Spectral norm by power iteration keeps vectors beside the weights, which fit G's latest weights. The averaged weights
  would be divided by a number that is not theirs. Here G's norm is computed from the weights alone, for either.
- The judge, a classifier, errs too: read its share for generated faces beside that for real ones.

MEASURED
"""

import math
from functools import partial

import torch
from matplotlib.figure import Figure
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrize
from torch.nn.utils.parametrizations import spectral_norm
from torch.utils.data import DataLoader, RandomSampler
from torchvision.datasets.folder import find_classes

import helper
from common import FaceError
from further import beside, course

WIDTHS = {"d_conv_dim": 24, "g_conv_dim": 24}  # channels at 32 x 32
RATES = {"D": 4e-4, "G": 2e-4}  # SAGAN's ratio is 4
SHARED = 32  # length of a class's embedding in G; 128 in the paper
BETA = 1e-4  # of formula (3)
THRESHOLDS = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0, math.inf)
FEWEST = 20  # pictures of a class

# --- The classes ------------------------------------------------------------------------------------------------------


def load(folder=None, size=32):
    """Faces with their classes: uint8 (N, 3, size, size), labels int64 (N,), the classes' names.

    The classes are the folders in `folder`; if there is one folder, of faces that this project drew, what they wear.
    Raises: FaceError if there is no such folder, if it holds one class, or if a class has fewer than 20 pictures.
    """
    folder = folder or helper.find_faces()
    try:
        loader = helper.decode_once(course.load().get_dataloader(1, size, folder))
    except OSError as error:
        raise FaceError(f"{folder} is not a folder of folders of pictures: {str(error).splitlines()[0]}") from None
    names, labels, worn = find_classes(folder)[0], loader.dataset.labels, helper.drawn_traits(loader)
    if len(names) == 1 and worn:
        names, labels = ["nothing", *worn], torch.zeros_like(labels)
        for label, has in enumerate(worn.values(), 1):
            labels[has] = label
    if len(names) == 1:
        raise FaceError(f"{folder} holds one class, {names[0]}: sort the pictures into folders, one a class.")
    counts = torch.bincount(labels, minlength=len(names))
    if counts.min() < FEWEST:
        raise FaceError(f"the class {names[counts.argmin()]} has {counts.min()} pictures: give {FEWEST} or more.")
    return loader.dataset.images, labels, names


# --- SAGAN: spectral norm in both networks, self-attention ------------------------------------------------------------


class Spectral(nn.Module):
    """weight / sigma, its largest singular value, computed from the weight alone."""

    def forward(self, weight):
        W = weight.flatten(1)
        W = W if len(W) <= W.shape[1] else W.T
        with torch.no_grad():  # sigma = |u W|, and so is its gradient with u held fixed
            exact = W.cpu().double()  # not every device has float64 and eigh
            u = torch.linalg.eigh(exact @ exact.T).eigenvectors[:, -1:].to(W)
        return weight / (u * W).sum(0).norm()


def in_g(layer):
    """The layer with weights that begin orthogonal, and the exact spectral norm."""
    nn.init.orthogonal_(layer.weight)
    parametrize.register_parametrization(layer, "weight", Spectral())
    return layer


def in_d(layer):
    """The same with power iteration, one step each time that D looks, as usual."""
    nn.init.orthogonal_(layer.weight)
    return spectral_norm(layer)


class Attention(nn.Module):
    """SAGAN's formulas (1) to (3): to each place j what the others hold is added, most from those i that suit it.

    x (B, C, S, S) -> the same shape; x itself while gamma is 0, as it is to begin with. norm: `in_g` or `in_d`.
    """

    def __init__(self, channels, norm):
        super().__init__()
        self.f, self.g = (norm(nn.Conv2d(channels, channels // 8, 1)) for _ in range(2))
        self.h, self.v = (norm(nn.Conv2d(*both, 1)) for both in ((channels, channels // 2), (channels // 2, channels)))
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, x):
        f, g, h = (layer(x).flatten(2) for layer in (self.f, self.g, self.h))  # channels x S * S
        beta = (f.transpose(1, 2) @ g).softmax(1)  # (1): over i, the places looked at
        o = self.v((h @ beta).unflatten(2, x.shape[2:]))  # (2)
        return self.gamma * o + x  # (3)


# --- G: class-conditional BatchNorm -----------------------------------------------------------------------------------


class ConditionalNorm(nn.Module):
    """BatchNorm whose gain and bias are linear in a condition (B, length): x (B, C, S, S) -> the same shape."""

    def __init__(self, channels, length):
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False, momentum=None)  # plain means, see `settle`
        self.both = in_g(nn.Linear(length, 2 * channels, bias=False))

    def forward(self, x, condition):
        gain, bias = self.both(condition)[:, :, None, None].chunk(2, 1)
        return (1 + gain) * self.norm(x) + bias


class Up(nn.Module):
    """A residual block that doubles the size, with the condition in both of its BatchNorms."""

    def __init__(self, channels, out, length):
        super().__init__()
        self.norm1, self.norm2 = ConditionalNorm(channels, length), ConditionalNorm(out, length)
        self.conv1, self.conv2 = (in_g(nn.Conv2d(size, out, 3, padding=1)) for size in (channels, out))
        self.shortcut = in_g(nn.Conv2d(channels, out, 1))

    def forward(self, x, condition):
        h = F.interpolate(self.norm1(x, condition).relu(), scale_factor=2)
        h = self.conv2(self.norm2(self.conv1(h), condition).relu())
        return h + F.interpolate(self.shortcut(x), scale_factor=2)


class Generator(nn.Module):
    """z (B, z_size) and classes y, int64 (B,) -> pictures (B, 3, 32, 32) in [-1, 1]. z_size: a multiple of 4.

    Section 3: one embedding of the class serves all layers, and a quarter of z goes to each block beside it.
    """

    def __init__(self, z_size, conv_dim, image_size=32, classes=2):
        super().__init__()
        self.z_size, length, c = z_size, SHARED + z_size // 4, conv_dim
        self.embed = nn.Embedding(classes, SHARED)
        nn.init.orthogonal_(self.embed.weight)
        self.first = in_g(nn.Linear(z_size // 4, 4 * c * 16))
        self.up8, self.up16, self.up32 = Up(4 * c, 4 * c, length), Up(4 * c, 2 * c, length), Up(2 * c, c, length)
        self.attention = Attention(2 * c, in_g)
        self.last = nn.Sequential(
            nn.BatchNorm2d(c, momentum=None), nn.ReLU(), in_g(nn.Conv2d(c, 3, 3, padding=1)), nn.Tanh())

    def forward(self, z, y):
        first, *parts = z.chunk(4, 1)
        for8, for16, for32 = (torch.cat([self.embed(y), part], 1) for part in parts)
        x = self.first(first).view(len(z), -1, 4, 4)  # 96 x 4 x 4
        x = self.up16(self.up8(x, for8), for16)  # 96 x 8 x 8, 48 x 16 x 16
        return self.last(self.up32(self.attention(x), for32)).float()  # 24 x 32 x 32, 3 x 32 x 32


# --- D: projection ----------------------------------------------------------------------------------------------------


class Down(nn.Module):
    """A residual block that halves the size. first: what comes in is a picture, which no ReLU must cut."""

    def __init__(self, channels, out, first=False):
        super().__init__()
        self.conv1, self.conv2 = (in_d(nn.Conv2d(size, out, 3, padding=1)) for size in (channels, out))
        self.shortcut, self.first = in_d(nn.Conv2d(channels, out, 1)), first

    def forward(self, x):
        h = self.conv2(self.conv1(x if self.first else x.relu()).relu())
        return F.avg_pool2d(h, 2) + self.shortcut(F.avg_pool2d(x, 2))


class Discriminator(nn.Module):
    """Pictures x (B, 3, 32, 32) in [-1, 1] of classes y, int64 (B,) -> (B, 1): how real x is as one of y."""

    def __init__(self, conv_dim, image_size=32, classes=2):
        super().__init__()
        c = conv_dim
        self.phi = nn.Sequential(
            Down(3, c, first=True), Attention(c, in_d),  # 24 x 16 x 16
            Down(c, 2 * c), Down(2 * c, 4 * c), nn.ReLU())  # 48 x 8 x 8, 96 x 4 x 4
        self.psi, self.V = in_d(nn.Linear(4 * c, 1)), in_d(nn.Embedding(classes, 4 * c))

    def forward(self, x, y):
        phi = self.phi(x).sum((2, 3))  # 96
        return ((self.V(y) * phi).sum(1, keepdim=True) + self.psi(phi)).float()  # Miyato and Koyama's (3)


# --- Training ---------------------------------------------------------------------------------------------------------


def orthogonal(G):
    """Formula (3) without beta: |W W^T * (1 - I)|^2, summed over G's weights but the embedding; W's rows are filters.

    It is 0 where filters are at right angles, however long they are. Then G is smooth, and truncation works.
    """
    penalty = 0
    for weight in G.parameters():
        if weight.dim() > 1 and weight is not G.embed.weight:
            W = weight.flatten(1)
            gram = W @ W.T if len(W) <= W.shape[1] else W.T @ W  # the sum of their squares is the same
            penalty = penalty + gram.square().sum() - W.square().sum(1).square().sum()
    return penalty


def steps(own, x, y):
    """A step of D and one of G with real pictures x in [-1, 1] and their classes y, which G is asked for too.

    SAGAN's (4), the hinge loss. Returns: both losses, without the penalty, as tensors without a graph.
    """
    D, G = own.D, own.G
    fake_images = G(own.random_z(len(x), G.z_size, x.device), y)
    real, fake = D(torch.cat([x, fake_images.detach()]), y.repeat(2)).chunk(2)
    d_loss = F.relu(1 - real).mean() + F.relu(1 + fake).mean()
    own.d_optimizer.zero_grad()
    d_loss.backward()
    own.d_optimizer.step()
    g_loss = -D(fake_images, y).mean()
    own.g_optimizer.zero_grad()
    (g_loss + BETA * orthogonal(G)).backward(inputs=list(G.parameters()))
    own.g_optimizer.step()
    return d_loss.detach(), g_loss.detach()


def loop(own, run, loader):
    """The notebook's `train`, with labels."""
    own.D.train(), own.G.train()
    with run:
        for _epoch in run.epochs():
            for real_images, y in run.batches(loader):
                x = own.scale(own.mirror_half(real_images.to(own.device)))
                with helper.fast_math(own.device):
                    d_loss, g_loss = steps(own, x, y.to(own.device))
                own.G_average.update_parameters(own.G)
                run.record(d_loss=d_loss, g_loss=g_loss)


def system(faces, labels, asked, classes):
    """BigGAN for faces, uint8 (N, 3, 32, 32), and labels (N,); it is judged by faces of the classes `asked`, int64 (M,)."""
    own = course.set_up(**{made.__name__: partial(made, classes=classes) for made in (Discriminator, Generator)},
                        weights_init_normal=lambda m: None, learning_rate=RATES["D"], betas=(0.0, 0.999), **WIDTHS)
    own.g_optimizer.param_groups[0]["lr"] = RATES["G"]
    labelled = helper.DecodedFaces(faces, labels)
    drawn = RandomSampler(labelled, num_samples=min(beside.EPOCH, len(labelled)))
    loader = DataLoader(labelled, own.batch_size, sampler=drawn, collate_fn=list)
    z, y = own.random_z(128, own.z_size, own.device), asked.to(own.device).repeat(128)[:128]

    def sample():
        settle(own.G_average, z, y)
        return generate(own.G_average, z[:16], y[:16])

    return beside.System(own, lambda count: truncated(own, asked[:count]), loader, partial(loop, own), sample=sample,
                         trouble=lambda history, snapshots, seen: helper.signs_of_trouble({}, snapshots, seen))


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


# --- The judge --------------------------------------------------------------------------------------------------------


def train_classifier(faces, labels, classes, epochs=8):
    """A small network that tells the classes apart, in evaluation mode. faces: uint8 (N, 3, 32, 32); labels: (N,)."""
    layers = []
    for inward, out in ((3, 32), (32, 64), (64, 128)):  # 32 x 16 x 16, 64 x 8 x 8, 128 x 4 x 4
        layers += [nn.Conv2d(inward, out, 4, 2, 1), nn.BatchNorm2d(out), nn.ReLU()]
    network = nn.Sequential(*layers, nn.Flatten(), nn.Dropout(0.5), nn.Linear(128 * 16, classes))
    optimizer, mirror_half = torch.optim.Adam(network.parameters(), 1e-3), course.load().mirror_half
    rarity = len(labels) / torch.bincount(labels, minlength=classes).clamp(min=1)  # each class counts as much
    for _ in range(epochs):
        for some in torch.randperm(len(faces)).split(64):
            optimizer.zero_grad()
            F.cross_entropy(network(mirror_half(faces[some] / 255)), labels[some], rarity).backward()
            optimizer.step()
    return network.eval()


def taken_for(classifier, faces, y):
    """How often faces, uint8 (N, 3, 32, 32), are taken for their classes y (N,): the mean of each class's share."""
    with torch.no_grad():
        right = torch.cat([classifier(some / 255).argmax(1) for some in faces.split(500)]) == y
    return torch.stack([right[y == label].float().mean() for label in y.unique()]).mean().item()


# --- Side by side -----------------------------------------------------------------------------------------------------


def curve(one, data, asked, classifier):
    """What one training's faces are like at each threshold: {threshold: {heading: number}}."""
    found = {}
    for threshold in THRESHOLDS:
        system = one.system._replace(faces=lambda count, t=threshold: truncated(one.system.own, asked[:count], t))
        faces = beside.made(system, len(asked))
        found[threshold] = beside.distances(faces, data.reals) | {"taken": taken_for(classifier, faces, asked)}
    return found


def in_words(threshold):
    return f"{threshold:g}" if threshold < math.inf else "none"


def curve_table(curves, right):
    """Markdown: a row for each seed and threshold; curves: {seed: what `curve` gave}; right: the classifier's share."""
    rows = [["real faces, kept out", "", *["-"] * len(beside.FORMATS), f"{right:.1%}"]]
    for seed, found in curves.items():
        for threshold, numbers in found.items():
            measured = [f"{numbers[name]:{form}}" for name, form in beside.FORMATS.items()]
            rows.append([in_words(threshold), str(seed), *measured, f"{numbers['taken']:.1%}"])
    return beside.markdown(["threshold of z", "seed", *beside.FORMATS, "taken for the class asked for"], rows)


def draw(judged, curves, asked, names):
    """A Figure: the same z in each class (a row) at threshold 1, the curve of truncation, the notebook's faces."""
    notebook, biggan = judged[:2]
    own, columns = biggan.system.own, 10
    truncated(own, asked, 1.0)  # settles the statistics
    z = truncated_z(columns, own.z_size, own.device, 1.0).repeat(len(names), 1)
    faces = generate(own.G_average, z, torch.arange(len(names), device=own.device).repeat_interleave(columns))
    figure = Figure(figsize=(12, 3.6), dpi=100, layout="constrained")
    left, middle, right = figure.subplots(1, 3, width_ratios=(1.2, 1, 1))
    left.imshow(beside.grid(faces, columns))
    left.set_title("the same z in each class, numbers within -1 to 1", fontsize=9)
    left.set(xticks=[], yticks=[16 + 33 * row for row in range(len(names))], yticklabels=names)
    distance = list(beside.FORMATS)[0]
    for seed, found in curves.items():
        points = [(numbers["MS-SSIM of pairs"], numbers[distance]) for numbers in found.values()]
        middle.plot(*zip(*points, strict=True), marker="o", label=f"seed {seed}")
        for threshold, point in zip(found, points, strict=True):
            middle.annotate(in_words(threshold), point, fontsize=8)
    middle.set(xlabel="MS-SSIM of pairs (left: more variety)", ylabel=distance)
    middle.set_title("threshold of z", fontsize=9)
    middle.legend(fontsize=8)
    right.imshow(beside.grid(notebook.faces[:80], 10))
    right.set_title(notebook.name, fontsize=9)
    right.axis("off")
    return figure


def measure(given):
    images, labels, names = load(given.photographs)
    data, known = beside.split(images), beside.split(labels)  # the same ones kept out
    torch.manual_seed(0)
    classifier = train_classifier(data.photographs, known.photographs, len(names))
    right = taken_for(classifier, data.reals, known.reals)
    print(f"{len(names)} classes ({', '.join(names)}); the classifier is right about {right:.1%} of faces kept out, "
          f"the mean over the classes. Guessing: {1 / len(names):.1%}.", flush=True)
    make = partial(system, data.photographs, known.photographs, known.reals, len(names))
    judged = beside.compare({"BigGAN": make}, data, given)
    curves = {one.seed: curve(one, data, known.reals, classifier) for one in judged if one.name == "BigGAN"}
    text = f"{beside.table(judged, data)}\n\n{curve_table(curves, right)}"
    return text, draw(judged, curves, known.reals, names)


if __name__ == "__main__":
    beside.main("biggan", __doc__, measure, images=60_000)
