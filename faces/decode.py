"""Every picture decoded once and kept: in memory as whole numbers, and in a hidden file for the next run."""

import contextlib
import hashlib
import multiprocessing
import os
import sys
import warnings
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision.datasets import folder as image_folder

from common import FaceError, Progress, listed, write_beside
from faces.pictures import open_picture


class DecodedFaces(Dataset):
    """Decoded pictures in memory: `images` uint8 (N, 3, S, S), `labels` int64 (N,); given out as floats in [0, 1]."""

    def __init__(self, images, labels):
        self.images, self.labels = images, labels

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        return self.images[index].float().div(255), self.labels[index]

    __getitems__ = __getitem__  # DataLoader hands over a batch's indices together: one indexing makes the batch


def decode_once(loader):
    """Give the loader's batches out of memory: every picture is read, decoded and transformed once.

    On Linux all cores share that work. The pictures are kept as whole numbers 0 to 255, one byte a value, and also in
    a hidden file beside the data, which serves the next run while the pictures' names, sizes and times and the
    transform are the same. Broken pictures are left out, with one warning that counts and names them.

    Args:
        loader: DataLoader over an ImageFolder whose transform ends in ToTensor and gives all pictures one size.
            Over anything else, or with an ImageFolder that opens its files in its own way, it is returned as it is.
    Returns: DataLoader of the same batches in the same order, (B, 3, S, S) float in [0, 1] and labels (B,).
    Raises: FaceError if the transform is random (one decoding would freeze it), gives pictures that are not square or
        values outside [0, 1], if more than half of the pictures are broken, or if there is not one whole batch.
    """
    dataset = loader.dataset
    if type(dataset) is not image_folder.ImageFolder or dataset.loader is not image_folder.default_loader:
        return loader
    probe = _try_transform(dataset.transform)
    cache, key = Path(dataset.root) / f".decoded-{probe.shape[1]}.npz", _key(dataset, probe)
    decoded = _read_cache(cache, key, probe.shape)
    if decoded is None:
        decoded = _decode(dataset, probe.shape)
        if 2 * len(decoded[1]) >= len(dataset):  # what is refused below may be mended outside of the folder, too
            _write_cache(cache, key, *decoded)
    images, kept = decoded
    broken = np.setdiff1d(np.arange(len(dataset)), kept)
    if len(broken):
        names = listed([dataset.samples[i][0][len(str(dataset.root)) + 1:] for i in broken])
        line = f"{len(broken):,} of {len(dataset):,} pictures in {dataset.root} cannot be read: {names}."
        if 2 * len(broken) > len(dataset):
            raise FaceError(f"{line} That is more than half: is this a folder of pictures?")
        warnings.warn(f"{line} They are left out.", stacklevel=2)
        dataset.samples = dataset.imgs = [dataset.samples[i] for i in kept]  # the sampler asks for the dataset's length
        dataset.targets = [label for _, label in dataset.samples]
    if len(loader) == 0:
        raise FaceError(f"{dataset.root} holds {len(kept):,} pictures, fewer than one batch of {loader.batch_size:,}: "
                        "choose a smaller batch_size, or leave drop_last out.")
    faces = DecodedFaces(torch.from_numpy(images), torch.tensor(dataset.targets))
    return DataLoader(faces, batch_sampler=loader.batch_sampler, collate_fn=list, generator=loader.generator)


def data_key(loader):
    """Name the pictures that a loader gives, in a text that is the same for the same pictures, wherever they lie.

    For what decode_once gives, "8,000 pictures, 3f2a9c01": the digits stand for the labels and for every fourth pixel of
    every fourth row, which is enough to tell pictures apart and takes a second for 200,000 of 128 x 128. For a plain
    ImageFolder they stand for the files' names and sizes; for any other dataset there is the number of pictures alone.
    """
    dataset, key = loader.dataset, hashlib.blake2b(digest_size=4)
    if isinstance(dataset, DecodedFaces):
        for images in dataset.images.split(4096):
            key.update(images[:, :, ::4, ::4].contiguous().cpu().numpy())
        key.update(torch.as_tensor(dataset.labels).cpu().numpy().tobytes())
    elif isinstance(dataset, image_folder.ImageFolder):
        for path, _ in dataset.samples:
            size = os.path.getsize(path) if os.path.exists(path) else None
            name = os.path.relpath(path, dataset.root).replace(os.sep, "/")
            key.update(f"{name}\0{size}\0".encode(errors="surrogateescape"))
    else:
        return f"{len(dataset):,} pictures"
    return f"{len(dataset):,} pictures, {key.hexdigest()}"


def _try_transform(transform):
    """Return what the transform makes of a picture of noise, (3, S, S) in [0, 1]; refuse one that cannot be kept."""
    if transform is None:
        raise FaceError("the ImageFolder has no transform: resize the pictures, then make tensors of them (ToTensor).")
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (80, 96, 3), dtype=np.uint8))
    try:
        with torch.random.fork_rng(devices=[]):
            probe, *others = [transform(noise.copy()) for _ in range(50)]  # 50: even a rare event shows
    except Exception as error:
        raise FaceError(f"the transform fails on an RGB picture of 96 x 80 pixels ({type(error).__name__}: {error}): "
                        "resize the picture, then make a tensor of it (ToTensor).") from None
    if not (isinstance(probe, torch.Tensor) and probe.is_floating_point() and probe.dim() == 3 and len(probe) == 3):
        raise FaceError("the transform gives no float tensor of shape (3, S, S): let it end in ToTensor.")
    if probe.shape[1] != probe.shape[2]:
        raise FaceError(f"the transform makes {tuple(probe.shape)} of a picture of 96 x 80 pixels: give Resize both "
                        "sides, (image_size, image_size); with one number it keeps the proportions.")
    if probe.min() < 0 or probe.max() > 1:
        raise FaceError(f"the transform gives values from {probe.min():.2f} to {probe.max():.2f}: pictures are kept in "
                        "[0, 1], so leave scaling to the training step.")
    if not all(torch.equal(probe, other) for other in others):
        raise FaceError("the transform is random, and decoding once would freeze its first draw: take that part out of "
                        "the transform and apply it to the batches in training.")
    return probe


def _key(dataset, probe):
    """Return a digest of what the decoded pictures depend on: what the transform does, and each file's name and state."""
    key = hashlib.blake2b(probe.numpy().tobytes(), digest_size=16)
    for path, _ in dataset.samples:
        state = None
        with contextlib.suppress(OSError):  # a link to nowhere
            status = os.stat(path)
            state = status.st_size, status.st_mtime_ns, status.st_mode  # the mode: a file may become readable
        key.update(f"{path[len(str(dataset.root)):]}\0{state}\0".encode(errors="surrogateescape"))
    return key.hexdigest()


def _read_cache(cache, key, shape):
    """Return (images, kept) from the cache file, or None if it is missing, damaged, foreign or stale."""
    try:
        with np.load(cache, allow_pickle=False) as saved:  # a zip: each member's checksum is compared as it is read
            if str(saved["key"]) != key:
                return None
            images, kept = saved["images"], saved["kept"]
    except Exception:  # whatever is wrong with the file, the pictures themselves are at hand
        return None
    return (images, kept) if images.dtype == np.uint8 and images.shape == (len(kept), *shape) else None


def _write_cache(cache, key, images, kept):
    """Keep the decoded pictures for the next run; where that cannot be done, say so and go on."""
    try:
        write_beside(cache, lambda file: np.savez(file, key=np.array(key), images=images, kept=kept))
    except OSError as error:
        print(f"The decoded pictures are not kept for the next run: {cache.parent} cannot be written ({error.strerror}).")


class _Decoding(Dataset):
    """The pictures of an ImageFolder as arrays, uint8 (3, S, S); None for a broken one."""

    def __init__(self, dataset, shape):
        self.samples, self.transform, self.shape = dataset.samples, dataset.transform, shape

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, index):
        path = self.samples[index][0]
        with contextlib.suppress(Exception):  # a broken file breaks in many ways; all are counted and named later
            if os.path.isfile(path):  # opening a pipe would wait for ever
                picture = self.transform(open_picture(path)).mul(255).round().to(torch.uint8)
                return picture.numpy().reshape(self.shape)


def _decode(dataset, shape):
    """Decode every picture. Returns (images uint8 (N, 3, S, S), kept int64 (N,): their indices)."""
    images = np.empty((len(dataset), *shape), dtype=np.uint8)
    good = np.zeros(len(dataset), dtype=bool)
    workers = {}
    if sys.platform == "linux" and len(dataset) > 1000 and not multiprocessing.current_process().daemon:
        # Processes, as threads would wait for Python's lock; forked ones, as a learner's transform need not be picklable.
        workers = {"num_workers": len(os.sched_getaffinity(0)), "multiprocessing_context": "fork"}
    some = DataLoader(_Decoding(dataset, shape), batch_size=64, collate_fn=list, **workers,
                      generator=torch.Generator())  # else it would draw a number from the one that shuffles
    with warnings.catch_warnings(), Progress(total=len(dataset), desc="Decoding", unit=" pictures") as bar:
        warnings.simplefilter("ignore")
        index = 0
        for pictures in some:
            for picture in pictures:
                if picture is not None:
                    images[index], good[index] = picture, True
                index += 1
            bar.update(len(pictures))
    kept = np.flatnonzero(good)
    if len(kept) < len(dataset):
        for new, old in enumerate(kept):  # closes the gaps in place: a copy would need the memory twice
            images[new] = images[old]
    return images[:len(kept)], kept
