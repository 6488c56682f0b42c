"""Does a loss follow the distance? Faces judged at moments of a training, and the rank correlation of both.

wasserstein.py asks it of its gap and of the notebook's losses. A system whose `sample` is that of `watched` shows the same
faces all through its training, and the run keeps them.
"""

import contextlib

import torch

import helper
from further import beside
from measures.needs import Missing

CHECKPOINTS = 16  # moments of a training at which the faces are judged
FACES = 200  # judged at each


def watched(own):
    """A `sample` of FACES faces, by which the training is judged afterwards. All trainings have the same z."""
    z = torch.randn(FACES, own.z_size, generator=torch.Generator().manual_seed(0))
    return helper.FixedFaces(own.G_average, z.to(own.device))


def ranks(values):
    """The place of each value in their order, from 1 on; equal ones share the mean of their places. Both (N,)."""
    values = torch.as_tensor(values, dtype=torch.float64)
    return (values[:, None] > values).sum(1) + ((values[:, None] == values).sum(1) + 1) / 2


def spearman(a, b):
    """Rank correlation of two lists of numbers, in [-1, 1]; nan where all of one are equal."""
    return torch.corrcoef(torch.stack([ranks(a), ranks(b)]))[0, 1].item()


def checkpoints(run):
    """Indices into run.seen, CHECKPOINTS at most, evenly over the training, of those with an entry in its history."""
    known = [index for index, images in enumerate(run.seen) if images in run.history["images"]]
    wanted = [run.images * (number + 1) / CHECKPOINTS for number in range(CHECKPOINTS)]
    return sorted({min(known, key=lambda index: abs(run.seen[index] - images)) for images in wanted})


def signals(run):
    """What one might go by, {name: a float for each checkpoint}: losses or gap, the mean over the batches around it."""
    at, reach = [run.seen[index] for index in checkpoints(run)], run.images / CHECKPOINTS / 2
    near = [[abs(entry - images) <= reach for entry in run.history["images"]] for images in at]
    names = [name for name in ("gap", "d_loss", "g_loss") if name in run.history]
    means = {name: [torch.tensor(run.history[name])[some].mean().item() for some in near] for name in names}
    return {**means, "images seen": at}


def distances(run, reals):
    """How far the faces at each checkpoint are from `reals`, uint8 (N, 3, S, S): {heading: list of float}.

    The Fréchet distance is that of beside.distances; it is left out where the face embedding is not installed.
    """
    from measures.embedding import face_embedding, feature_distances, features  # torchmetrics takes seconds to import

    reals, found = reals[:FACES], {}
    sets = [run.snapshots[index][: len(reals)] for index in checkpoints(run)]
    with contextlib.suppress(Missing):
        real, *made = (features(face_embedding(), faces) for faces in (reals, *sets))
        found["Fréchet, face embedding"] = [feature_distances(some, real)[0] for some in made]
    found["sliced Wasserstein x 1000"] = [
        helper.sliced_wasserstein(faces / 255, reals / 255, generator=torch.Generator().manual_seed(0))["mean"]
        for faces in sets]
    return found


def correlations(judged, looked):
    """Markdown: rank correlations of each training's signals with its distances, `looked` in the order of `judged`."""
    rows = []
    for one, found in zip(judged, looked, strict=True):
        for name, values in signals(one.run).items():
            rows.append([one.name, str(one.seed), name, str(len(values)),
                         *(f"{spearman(values, distance):+.2f}" for distance in found.values())])
    headings = ["rank correlation", "seed", "of", "checkpoints", *(f"with {name}" for name in looked[0])]
    return beside.markdown(headings, rows)
