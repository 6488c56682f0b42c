"""Fréchet and kernel distances between sets of faces in the features of a network: dlib's face embedding, or Inception."""

import functools
import re
from importlib import metadata
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torchmetrics.image.fid import FrechetInceptionDistance, NoTrainInceptionV3
from torchmetrics.image.kid import poly_mmd
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2.functional import resize

from measures.needs import Missing

INCEPTION_FILE = "weights-inception-2015-12-05-6726825d.pth"


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
