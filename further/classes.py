"""Faces of classes: where they come from, and a judge that tells the classes apart. biggan.py asks for them.

Photographs whose classes stand in a list, a labels.csv with the columns file, age, sex, are sorted by links:

    for file, age, sex in list(csv.reader(open("labels.csv")))[1:]:
        if age:
            folder = f"sorted/{sex} from {max(start for start in (0, 18, 35, 55) if start <= int(age))}"
            os.makedirs(folder, exist_ok=True)
            os.symlink(os.path.abspath(f"photographs/{file}"), f"{folder}/{file}")
"""

import torch
from torch import nn
from torchvision.datasets.folder import find_classes

import helper
from common import FaceError
from further import beside, course


def load(folder=None, size=32):
    """Faces with their classes: uint8 (N, 3, size, size), labels int64 (N,), the classes' names.

    The classes are the folders in `folder`; if there is one folder, of faces that this project drew, what they wear.
    Raises: FaceError if there is no such folder, no picture in it, or one class alone.
    """
    folder = folder or helper.find_faces()
    loader = beside.loader_of(folder, size)
    names, labels, worn = find_classes(folder)[0], loader.dataset.labels, helper.drawn_traits(loader)
    if len(names) == 1 and worn:
        names, labels = ["nothing", *worn], torch.zeros_like(labels)
        for label, has in enumerate(worn.values(), 1):
            labels[has] = label
    if len(names) == 1:
        raise FaceError(f"{folder} holds one class, {names[0]}: sort the pictures into folders, one a class.")
    return loader.dataset.images, labels, names


def train_classifier(faces, labels, classes, epochs=8):
    """A small network that tells the classes apart, in evaluation mode. faces: uint8 (N, 3, 32, 32); labels: (N,)."""
    parts = []
    for inward, out in ((3, 32), (32, 64), (64, 128)):  # 32 x 16 x 16, 64 x 8 x 8, 128 x 4 x 4
        parts += [nn.Conv2d(inward, out, 4, 2, 1), nn.BatchNorm2d(out), nn.ReLU()]
    network = nn.Sequential(*parts, nn.Flatten(), nn.Dropout(0.5), nn.Linear(128 * 16, classes))
    mirror_half = course.load().mirror_half
    rarity = len(labels) / torch.bincount(labels, minlength=classes).clamp(min=1)  # each class counts as much
    return beside.taught(network, faces, labels, lambda some: mirror_half(some / 255), epochs, rarity)


def taken_for(classifier, faces, y):
    """How often faces, uint8 (N, 3, 32, 32), are taken for their classes y (N,): the mean of each class's share."""
    with torch.no_grad():
        right = torch.cat([classifier(some / 255).argmax(1) for some in faces.split(500)]) == y
    return torch.stack([right[y == label].float().mean() for label in y.unique()]).mean().item()
