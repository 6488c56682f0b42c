"""What the notebook needs and does not teach.

In this order: finding the faces, decoding them once, progress and pictures, the precision of the arithmetic, the
training run (figure, checkpoints, signs of trouble), the files that leave the notebook, and measures of the faces.
"""

import contextlib
import copy
import hashlib
import importlib.util
import io
import itertools
import math
import multiprocessing
import os
import shutil
import signal
import sys
import threading
import time
import warnings
import zipfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.distributed
import torch.nn.functional as F
from IPython import get_ipython
from IPython.display import Image, display
from PIL import Image as Pillow
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import update_bn
from torch.utils.data import DataLoader, Dataset
from torchvision.datasets import folder as image_folder
from torchvision.transforms.functional import to_tensor
from torchvision.utils import make_grid
from tqdm import tqdm

HERE = Path(__file__).resolve().parent
FACES = Path("processed_celeba_small")
DRAWN = "drawn"


class FaceError(Exception):
    """A mistake that its message tells how to mend; Jupyter shows the message alone, without a traceback."""

    def _render_traceback_(self):
        return [f"{type(self).__name__}: {self}"]


# --- Finding the faces ------------------------------------------------------------------------------------------------


def _program(name):
    """Load processed_celeba_small/NAME.py as a module, leaving no __pycache__ there, which ImageFolder would trip over."""
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, HERE / FACES / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
        try:
            spec.loader.exec_module(module)
        finally:
            sys.dont_write_bytecode = before
        sys.modules[name] = module
    return sys.modules[name]


def _pictures(folder, seen):
    """Count the pictures in a folder and all folders under it, by their names. Links are followed, as ImageFolder does.

    seen: dict of the folders walked so far. A folder reached twice is refused: by a link to a folder above it,
    ImageFolder would walk in circles and find the same pictures again and again.
    """
    real = os.path.realpath(folder)
    if real in seen:
        raise FaceError(f"{folder} and {seen[real]} are the same folder, so its pictures would count more than once: "
                        "remove one of the two links.")
    seen[real] = folder
    with os.scandir(folder) as entries:
        return sum(_pictures(entry.path, seen) if entry.is_dir() else image_folder.is_image_file(entry.name)
                   for entry in entries)


def _class_folders(folder):
    """Return {name: number of pictures} for the folders inside `folder`, in the order of their names."""
    seen = {os.path.realpath(folder): folder}
    return {inner.name: _pictures(inner, seen) for inner in sorted(folder.iterdir()) if inner.is_dir()}


def find_faces():
    """Say where the faces are, drawing them first if there are none, and print which ones will be used.

    In this order: the folder that the environment variable FACE_DATA names; photographs that somebody put into
    processed_celeba_small/; otherwise faces that processed_celeba_small/draw.py draws, the same ones every time.

    Returns: str, a folder for torchvision's ImageFolder: it holds folders, and they hold the pictures.
    Raises: FaceError if the folder cannot be used; its one line says what is wrong with it and what to do.
    """
    named = os.environ.get("FACE_DATA")
    folder = Path(named or FACES)
    prepare = "python processed_celeba_small/prepare.py SOURCE"
    if named and not os.path.exists(folder):
        raise FaceError(f"FACE_DATA names {folder}, which does not exist: correct the path, or unset FACE_DATA.")
    if named and not os.path.isdir(folder):
        raise FaceError(f"FACE_DATA names {folder}, which is a file: name a folder, or make one of it with {prepare}")
    try:
        if not named:
            folder.mkdir(exist_ok=True)
        classes = _class_folders(folder)
        photographs = sum(count for name, count in classes.items() if named or name != DRAWN)
        if not named and not photographs:
            draw = _program("draw")
            draw.tqdm = Progress  # a bar that refreshes in place in a notebook too
            draw.draw_faces(folder / DRAWN)
        elif not named and DRAWN in classes:
            shutil.rmtree(folder / DRAWN)  # stand-ins, not to be mixed with photographs; they can be drawn again
        classes = _class_folders(folder)
        flat = any(image_folder.is_image_file(path.name) for path in folder.iterdir())
    except OSError as error:
        raise FaceError(f"{folder} cannot be used ({error.strerror}: {error.filename or folder}): make it readable and, if "
                        "the faces are to be drawn there, writable with 50 MB free.") from None
    if not sum(classes.values()) and flat:
        raise FaceError(f"{folder} holds its pictures directly: move them into a folder inside it, or run {prepare}")
    if not sum(classes.values()):
        raise FaceError(f"{folder} holds no pictures: put a folder of faces into it, or name another with FACE_DATA.")
    for name, count in classes.items():
        if not count:
            raise FaceError(f"{folder / name} holds no pictures, which ImageFolder refuses: remove that folder.")
    where = "photographs from this folder" if photographs else "drawn by this project"
    print(f"{sum(classes.values()):,} faces in {folder}/ ({_listed(list(classes))}): {where}.")
    return str(folder)


def results_folder(data_dir):
    """Make and return the folder for what a run on these faces leaves: results/drawn, or results/ and data_dir's name."""
    drawn = Path(data_dir) == FACES and (FACES / DRAWN).is_dir()
    folder = Path("results") / (DRAWN if drawn else Path(data_dir).resolve().name)
    folder.mkdir(parents=True, exist_ok=True)
    return str(folder)


def _listed(names):
    """The first ten names in one line that is safe to print, whatever the names hold."""
    line = ", ".join("".join(c if c.isprintable() else "?" for c in name) for name in names[:10])
    return f"{line} and {len(names) - 10:,} more" if len(names) > 10 else line


# --- Decoding once ----------------------------------------------------------------------------------------------------


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
        _write_cache(cache, key, *decoded)
    images, kept = decoded
    broken = np.setdiff1d(np.arange(len(dataset)), kept)
    if len(broken):
        names = _listed([dataset.samples[i][0][len(str(dataset.root)) + 1:] for i in broken])
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


def _try_transform(transform):
    """Return what the transform makes of a picture of noise, (3, S, S) in [0, 1]; refuse one that cannot be kept."""
    if transform is None:
        raise FaceError("the ImageFolder has no transform: resize the pictures, then make tensors of them (ToTensor).")
    noise = Pillow.fromarray(np.random.default_rng(0).integers(0, 256, (80, 96, 3), dtype=np.uint8))
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
        self.open_picture = _program("prepare").open_picture

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, index):
        path = self.samples[index][0]
        with contextlib.suppress(Exception):  # a broken file breaks in many ways; all are counted and named later
            if os.path.isfile(path):  # opening a pipe would wait for ever
                picture = self.transform(self.open_picture(path)).mul(255).round().to(torch.uint8)
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


# --- Progress and pictures --------------------------------------------------------------------------------------------


def _in_notebook():
    """Is there a Jupyter kernel that can refresh what it shows?"""
    return getattr(get_ipython(), "kernel", None) is not None


class Progress(tqdm):
    """tqdm's bar: one line that refreshes in place in a notebook, the usual bar in a terminal, silent in a log."""

    monitor_interval = 0  # no thread of tqdm's that redraws: what another thread shows may land in another cell

    def __init__(self, *args, **kwargs):
        self._handle = None
        where = {"file": io.StringIO(), "ncols": 88} if _in_notebook() else {"disable": None}
        super().__init__(*args, mininterval=0.5, delay=0.5, **{**kwargs, **where})  # what is done at once needs no bar

    def display(self, msg=None, pos=None):
        if not _in_notebook():
            return super().display(msg, pos)
        line = {"text/plain": str(self)}
        if self._handle is None:
            self._handle = display(line, raw=True, display_id=True)
        else:
            self._handle.update(line, raw=True)


def to_pixels(faces):
    """Turn faces (N, 3, S, S) in [-1, 1] into whole numbers 0 to 255: uint8 (N, S, S, 3), on the CPU."""
    pixels = faces.detach().float().cpu().add(1).mul(127.5).round().clamp(0, 255)
    return pixels.to(torch.uint8).permute(0, 2, 3, 1).numpy()


def some_faces(data_dir, count, size):
    """Read `count` pictures at random from the folders in data_dir; those that cannot be read are passed over.

    Returns: float tensor (count, 3, size, size) in [0, 1]; fewer, if there are fewer.
    """
    paths = [path for path, _ in image_folder.ImageFolder(data_dir).samples]
    faces = []
    for index in torch.randperm(len(paths)).tolist():
        if len(faces) < count and os.path.isfile(paths[index]):
            with contextlib.suppress(ValueError):
                faces.append(to_tensor(_program("prepare").open_picture(paths[index]).resize((size, size))))
    if not faces:
        raise FaceError(f"none of the {len(paths):,} pictures in {data_dir} can be read: is this a folder of pictures?")
    return torch.stack(faces)


def show_faces(images, title=None, columns=12, zoom=2):
    """Show a grid of pictures, each pixel `zoom` screen pixels wide or more.

    Args:
        images: float tensor (N, 3, S, S) in [0, 1], as the loader gives them.
        title: a line above the grid.
    Returns: the matplotlib figure.
    """
    grid = make_grid(images.detach().float().cpu(), nrow=columns, padding=2, pad_value=1)
    height, width = grid.shape[1] * zoom / 100, grid.shape[2] * zoom / 100
    figure, axis = plt.subplots(figsize=(width, height + 0.3 * bool(title)), dpi=100, layout="constrained")
    axis.imshow(grid.permute(1, 2, 0).clamp(0, 1).numpy(), interpolation="nearest")
    axis.axis("off")
    if title:
        axis.set_title(title, fontsize=10)
    return figure


def save_gif(snapshots, path, columns=8, zoom=2):
    """Write the snapshots of training as a GIF that plays in a loop, and return it for a notebook to show.

    Args:
        snapshots: list of uint8 tensors (N, 3, S, S): the same N faces, earlier to later. Of more than 60 snapshots,
            60 are taken at equal distances.
    Returns: IPython.display.Image
    """
    frames = []
    for index in np.linspace(0, len(snapshots) - 1, min(len(snapshots), 60)).round().astype(int):
        grid = make_grid(snapshots[index], nrow=columns, padding=1, pad_value=255).permute(1, 2, 0).numpy()
        frame = Pillow.fromarray(grid)
        frames.append(frame.resize((frame.width * zoom, frame.height * zoom), Pillow.Resampling.NEAREST))
    times = [150] * (len(frames) - 1) + [1500]  # milliseconds; the last frame stays
    write_beside(path, lambda file: frames[0].save(file, "GIF", save_all=True, append_images=frames[1:], duration=times,
                                                   loop=0))
    return Image(filename=path, format="gif", embed=True)


# --- Precision --------------------------------------------------------------------------------------------------------


def fast_math(device):
    """Context in which convolutions run in bfloat16 where `device` has hardware for it, and in float32 elsewhere.

    On a CPU that means AMX or AVX-512 BF16: without them bfloat16 is emulated and slower than float32.
    """
    if device.type == "cuda":
        bfloat16 = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        bfloat16 = device.type == "cpu" and torch.cpu._is_avx512_bf16_supported()
    return torch.autocast(device.type, torch.bfloat16) if bfloat16 else contextlib.nullcontext()


# --- The training run -------------------------------------------------------------------------------------------------


def epochs(default):
    """How many epochs to train: the environment variable FACE_EPOCHS, or `default` without it. Returns: int, 1 or more."""
    text = os.environ.get("FACE_EPOCHS") or str(default)
    if not text.isdecimal() or not 1 <= len(text) <= 9 or int(text) < 1:
        raise FaceError(f"FACE_EPOCHS is {text!r}: give a whole number of epochs, 1 or more, or unset it.")
    return int(text)


def generate(G, z):
    """Faces of a generator in evaluation mode, whatever mode it is in: float (N, 3, S, S) in [-1, 1], on the CPU."""
    mode = G.training
    G.eval()
    with torch.no_grad():
        faces = torch.cat([G(part) for part in z.split(256)]).float().cpu()
    G.train(mode)
    return faces


def settle_statistics(G_average, fixed_z):
    """Measure BatchNorm's running statistics anew for the averaged weights; those copied from G fit its latest ones.

    The z for it are made of fixed_z's own numbers, so that they suit any distribution. The random state is put back, so
    that training draws the same numbers with it and without.
    """
    with torch.random.fork_rng(devices=[fixed_z.device] if fixed_z.is_cuda else []):
        torch.manual_seed(0)
        entries = torch.randint(fixed_z.numel(), (512, fixed_z.shape[1])).to(fixed_z.device)
        update_bn(fixed_z.flatten()[entries].split(64), G_average)


class _Stop(Exception):
    """Ends the loops of a training run that was interrupted; TrainingRun catches it."""


class TrainingRun:
    """One training from its first batch to its last: counts it, shows it, keeps it, and goes on where it stopped.

        with run:
            for epoch in run.epochs():                 # range(epochs), but it goes on after a stop
                for images, _ in run.batches(loader):  # the loader, with a progress bar
                    ...
                    run.record(d_loss, g_loss)

    Kernel > Interrupt lets the batch in progress end, keeps all that was learned, and the notebook goes on. After each
    epoch, and on an interrupt, a checkpoint is written; the last two are kept. The same cell run again goes on there.

    Args:
        folder: where the checkpoints are kept.
        epochs: int, passes over the data until the run is done.
        fixed_z: float tensor (N, z_size); their faces are kept from the start and after every epoch.
        settings: dict of what two runs must share to be one run: {"batch_size": 64, ...}.
        parts: D, G, G_average, d_optimizer and g_optimizer by these names: whatever has a state_dict and must be kept.

    Attributes: history {"images", "d_loss", "g_loss"}: lists, the mean losses of every 50 batches;
        snapshots: list of uint8 tensors (N, 3, S, S); images: int, how many were seen; seconds: float, in all.

    Raises: FaceError, with one line, if the optimizers hold other parameters than the networks', if the folder holds a
        run with other settings or no sound checkpoint among damaged ones, if a checkpoint cannot be written, and if a
        loss or a weight is no longer a number; then the networks have the weights of the last checkpoint again.
    """

    BETWEEN = 50  # batches between two looks at the losses: each look waits for the device
    REFRESH = 10.0  # seconds between two drawings of the figure, which costs about a quarter of a second

    def __init__(self, folder, epochs, fixed_z, settings, **parts):
        self.folder, self.total = Path(folder), epochs
        self.fixed_z, self.parts = fixed_z, {name: _unwrapped(part) for name, part in parts.items()}
        self.settings = {**{key: str(value) for key, value in settings.items()}, **_settings_of(self.parts)}
        self.history = {"images": [], "d_loss": [], "g_loss": []}
        self.snapshots, self.images, self.seconds = [], 0, 0.0
        self.epoch, self.batch, self.step = 0, 0, 0
        self._pending, self._stop, self._rng_at_epoch = [], False, None
        self._whole = []  # the checkpoints known to be whole, the newest last
        self._figure = self._bar = self._before = None
        alone = not torch.distributed.is_initialized()
        self._rank, self._processes = (0, 1) if alone else (torch.distributed.get_rank(), torch.distributed.get_world_size())
        for network, optimizer in (("D", "d_optimizer"), ("G", "g_optimizer")):
            held = {id(weight) for group in self.parts[optimizer].param_groups for weight in group["params"]}
            if held.isdisjoint(id(weight) for weight in self.parts[network].parameters()):
                raise FaceError(f"{optimizer} moves other weights than {network}'s, which were built anew since: run the "
                                "cells from building the networks down to here again.")

    # the loops

    def __enter__(self):
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._interrupted)
        try:
            if not self._resume():
                self._snapshot()
                self._save()
        except BaseException:
            self._give_signal_back()
            raise
        self._began = time.monotonic() - self.seconds
        self._shown = time.monotonic()
        if self._rank == 0 and _in_notebook():
            line = {"text/plain": "The first picture comes in a few seconds."}
            self._figure = display(line, raw=True, display_id=True)
        return self

    def __exit__(self, kind, error, trace):
        try:
            if self._bar is not None:
                self._bar.close()
            if self._processes > 1 and kind not in (None, _Stop):  # the launcher may name another
                print(f"Process {self._rank} of {self._processes}: {kind.__name__}: {error}", flush=True)
            if kind is _Stop:
                settle_statistics(self.parts["G_average"], self.fixed_z)
                self._save()
            if kind in (None, _Stop):
                self._show()
                self._say(f"{self._status()}, {self.images / max(self.seconds, 1e-9):,.0f} images/s.")
            if kind is _Stop:
                self._say("Interrupted; nothing is lost. Run this cell again to go on.")
        finally:
            self._give_signal_back()
        return kind is _Stop

    def _interrupted(self, *_):
        self._stop = True  # the batch in progress ends first: weights and optimizers stay of one piece

    def _give_signal_back(self):
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def epochs(self):
        """Yield the number of each epoch that is still to be trained; keep a snapshot and a checkpoint after each."""
        while self.epoch < self.total:
            yield self.epoch
            self._read_back()
            self.epoch, self.batch = self.epoch + 1, 0
            self._snapshot()
            self._save()
            if not _in_notebook():
                self._say("\n".join([self._status(), *signs_of_trouble(self.history, self.snapshots)]))

    def batches(self, loader):
        """Yield the loader's batches, going on in the middle of an epoch where a former run was interrupted."""
        if self._bar is None and self._rank == 0:
            self._bar = Progress(total=self.total * len(loader), initial=self.epoch * len(loader) + self.batch,
                                 desc="Training", unit=" batches")
        if self.batch == 0:
            self._rng_at_epoch = _random_state()
        now = _random_state()
        _set_random_state(self._rng_at_epoch)  # the same shuffle as the epoch began with
        batches = iter(loader)
        for _ in itertools.islice(batches, self.batch):  # what it has trained on already
            pass
        if self.batch:
            _set_random_state(now)
        for batch in batches:
            yield batch
            self.batch, self.step = self.batch + 1, self.step + 1
            self.images += len(batch[0]) * self._processes
            self.seconds = time.monotonic() - self._began
            if len(self._pending) >= self.BETWEEN or self._stop:
                self._read_back()
            if self._stop:
                raise _Stop
            if self._bar is not None:
                self._bar.update()
            if time.monotonic() - self._shown > self.REFRESH:
                self._show()

    def record(self, d_loss, g_loss):
        """Take note of one batch's losses, tensors or floats; they are read at the next look, without waiting now."""
        self._pending.append([torch.as_tensor(loss).detach() for loss in (d_loss, g_loss)])

    def _read_back(self):
        """Read the losses noted since the last look into the history; stop the run if one is not a number."""
        if not self._pending:
            return
        losses = torch.stack([loss.float().reshape(()).to(self.fixed_z.device) for pair in self._pending for loss in pair])
        losses = losses.view(-1, 2).cpu()
        self._pending.clear()
        for back, pair in enumerate(losses.tolist()):
            if not np.isfinite(pair).all():
                step = self.step - len(losses) + back + 1
                self._give_up(f"at step {step:,} the losses became {pair[0]:.3g} (D) and {pair[1]:.3g} (G)")
        d_loss, g_loss = losses.mean(dim=0).tolist()
        for key, value in (("images", self.images), ("d_loss", d_loss), ("g_loss", g_loss)):
            self.history[key].append(value)
        if self._bar is not None:
            self._bar.set_postfix_str(f"D {d_loss:.2f}  G {g_loss:.2f}", refresh=False)

    def _give_up(self, what):
        """Put back the weights of the last checkpoint and end the run with one line."""
        if self._whole:
            self._put_back(_read_checkpoint(self._whole[-1]))
            what = f"{what}; the networks are again as they were after {self.images:,} images"
        raise FaceError(f"training stopped: {what}. Lower the learning rates, or look for a division or a logarithm of "
                        f"zero in the losses; then delete {self.folder}, build the networks again and start afresh.")

    # what it shows

    def _snapshot(self):
        self.snapshots.append(self._faces(self.fixed_z))

    def _faces(self, z):
        settle_statistics(self.parts["G_average"], self.fixed_z)
        return torch.from_numpy(to_pixels(generate(self.parts["G_average"], z))).permute(0, 3, 1, 2).contiguous()

    def _status(self):
        losses = [f"{name} {self.history[key][-1]:.2f}" for name, key in (("D", "d_loss"), ("G", "g_loss"))
                  if self.history[key]]
        return ", ".join([f"epoch {self.epoch} of {max(self.total, self.epoch)}, {self.images:,} images", *losses])

    def _say(self, line):
        if self._rank == 0:
            print(line, flush=True)

    def _show(self):
        """Draw the faces of the fixed z, both curves and what there is to say about them into the one figure."""
        self._shown = time.monotonic()
        if self._figure is None:
            return
        faces = self._faces(self.fixed_z[:32])
        figure = plt.Figure(figsize=(9, 3.4), dpi=90, layout="constrained")
        left, right = figure.subplots(1, 2, width_ratios=(2, 1.3))
        grid = make_grid(faces, nrow=8, padding=1, pad_value=255).permute(1, 2, 0).numpy()
        left.imshow(grid, interpolation="nearest")
        left.axis("off")
        right.plot(self.history["images"], self.history["d_loss"], label="discriminator")
        right.plot(self.history["images"], self.history["g_loss"], label="generator")
        right.set(xlabel="images seen", ylabel="loss")
        right.legend(fontsize=8)
        figure.supxlabel("\n".join([self._status(), *signs_of_trouble(self.history, self.snapshots)]), fontsize=9)
        picture = io.BytesIO()
        figure.savefig(picture, format="png")
        self._figure.update(Image(picture.getvalue()))

    # what it keeps

    def _save(self):
        """Write a checkpoint beside its name, rename it into place, and keep the last two."""
        for name, part in self.parts.items():
            if isinstance(part, nn.Module) and not all(value.isfinite().all() for value in part.state_dict().values()):
                self._give_up(f"at step {self.step:,} a weight of {name} is not a number")
        if self._rank:
            return
        state = {
            "settings": self.settings, "history": self.history, "snapshots": self.snapshots, "fixed_z": self.fixed_z,
            "counts": [self.epoch, self.batch, self.step, self.images, self.seconds],
            "random": _random_state(), "random_at_epoch": self._rng_at_epoch,
            "parts": {name: part.state_dict() for name, part in self.parts.items()},
        }
        path, file_content = self.folder / f"{self.step:09d}.pt", io.BytesIO()
        torch.save(state, file_content)  # into memory first: of a full disk torch would not say that it is full
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_beside(path, lambda file: file.write(file_content.getbuffer()))
        except OSError as error:
            before = f"{self._whole[-1]} is whole" if self._whole else "there is none before it"
            raise FaceError(f"training stopped: the checkpoint {path} cannot be written ({error.strerror}); {before}. Make "
                            "room, or make the folder writable, and run this cell again.") from None
        self._whole = [*(old for old in self._whole if old != path), path][-2:]
        for old in self.folder.glob("[0-9]*.pt*"):  # older ones, and what a killed run left half written
            if old not in self._whole:
                old.unlink()

    def _resume(self):
        """Load the newest whole checkpoint. Returns whether there was one; refuses one with other settings."""
        found = sorted(self.folder.glob("[0-9]*.pt"), reverse=True)
        for path in found:
            try:
                state = _read_checkpoint(path)
                settings = state["settings"]
            except Exception as error:  # cut off, damaged, or no checkpoint of ours
                self._say(f"{path} is damaged ({type(error).__name__}) and passed over.")
                continue
            differing = _differences(settings, self.settings)
            if differing:
                raise FaceError(f"{self.folder} holds a run with other settings ({differing}): put them back to go on "
                                "with it, or delete that folder to start afresh.")
            self._put_back(state)
            self._whole = [path]
            if not self._rank:
                for old in found[found.index(path) + 2:]:  # a run that is killed again and again would leave many
                    with contextlib.suppress(OSError):
                        old.unlink()
            if self.epoch < self.total:
                self._say(f"Going on from {path}: {self._status()}.")
            else:
                self._say(f"Trained already, as {path} has it. To go on, raise the number of epochs; to start afresh, "
                          f"delete {self.folder}.")
            return True
        if found:
            raise FaceError(f"no checkpoint in {self.folder} can be read: delete that folder to start afresh.")
        return False

    def _put_back(self, state):
        for name, part in self.parts.items():
            part.load_state_dict(state["parts"][name])
        self.epoch, self.batch, self.step, self.images, self.seconds = state["counts"]
        self.history, self.snapshots = state["history"], state["snapshots"]
        self.fixed_z = state["fixed_z"].to(self.fixed_z.device)
        self._rng_at_epoch = state["random_at_epoch"]
        if self._rank == 0:
            _set_random_state(state["random"])
        else:  # random numbers of its own: with the first process's it would draw the same z
            self._rng_at_epoch = _random_state()


def _read_checkpoint(path):
    """Return what a checkpoint holds, on the CPU; raises an exception of some kind if the file is damaged."""
    with zipfile.ZipFile(path) as archive:
        if archive.testzip() is not None:  # torch.load does not compare the checksums
            raise zipfile.BadZipFile
    return torch.load(path, map_location="cpu", weights_only=True)


JUDGED_AFTER = 10_000  # images; before that, all faces are alike and change little, whatever comes of them


def signs_of_trouble(history, snapshots):
    """Look for the usual ways in which a GAN goes wrong.

    Args:
        history: dict of lists "images", "d_loss" and "g_loss", an entry every 50 batches; judged over the last ten.
        snapshots: list of uint8 tensors (N, 3, S, S), faces of the same z, before training and after each epoch; judged
            after JUDGED_AFTER images, the last against the one a tenth of the training before it, the half-life of the
            moving average, and at least half of JUDGED_AFTER.
    Returns: list of str, one line for each sign; empty while all is well.
    """
    signs = []
    d_loss, g_loss = (history[key][-10:] for key in ("d_loss", "g_loss"))
    # 0.33 is the least that a discriminator's loss can be when real images have the label 0.9
    if len(d_loss) == 10 and (max(d_loss) < 0.1 or (max(d_loss) < 0.45 and min(g_loss) > 4)):
        signs.append("the discriminator has won: it tells all faces apart, and the generator learns little from it; lower "
                     "its learning rate or raise its dropout")
    if not history["images"] or history["images"][-1] < JUDGED_AFTER:
        return signs
    images = history["images"][-1]
    back = math.ceil(max(JUDGED_AFTER / 2, images / 10) / images * (len(snapshots) - 1))  # in snapshots
    faces = [snapshot.float() / 255 for snapshot in snapshots]
    spread = [face.std(dim=0).mean().item() for face in faces]
    if len(faces) > back and (faces[-1] - faces[-1 - back]).abs().mean() < 0.005:
        signs.append("the generator is stuck: the faces of the fixed z no longer change; its gradient is gone, or its "
                     "optimizer does not move it")
    elif spread[-1] < 0.03 or spread[-1] < 0.4 * max(spread):
        signs.append("variety is collapsing: the faces of different z grow alike (mode collapse)")
    return signs


def _unwrapped(part):
    return part.module if isinstance(part, DistributedDataParallel) else part


def _settings_of(parts):
    """Describe networks and optimizers in words that two runs must share."""
    settings = {}
    for name, part in parts.items():
        if isinstance(part, nn.Module):
            settings[name] = str(part)
        else:
            group = part.param_groups[0]
            group = group | {"lr": group.get("initial_lr", group["lr"])}  # as PyTorch's schedulers keep it
            settings |= {f"{name} {key}": str(group[key]) for key in ("lr", "betas", "weight_decay") if key in group}
    return settings


def _differences(then, now):
    """Name what differs between two settings, of long texts (networks) only the first line that does."""
    found = []
    for key in then.keys() | now.keys():
        old, new = then.get(key, "none"), now.get(key, "none")
        if old != new:
            lines = itertools.zip_longest(old.splitlines(), new.splitlines(), fillvalue="nothing")
            before, after = next((a.strip(), b.strip()) for a, b in lines if a != b)
            found.append(f"{key}: then {before}, now {after}")
    return "; ".join(sorted(found))


def _random_state():
    return [torch.get_rng_state(), *(torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [])]


def _set_random_state(states):
    torch.set_rng_state(states[0])
    if torch.cuda.is_available() and len(states) == 1 + torch.cuda.device_count():
        torch.cuda.set_rng_state_all(states[1:])


# --- What leaves the notebook -----------------------------------------------------------------------------------------


def write_beside(path, write):
    """Let `write(file)` fill a file beside `path`, then rename it: `path` is the old file or the new, never a part."""
    beside = Path(f"{path}.tmp")
    try:
        with open(beside, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    finally:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)


def export_generator(G, z_size, folder):
    """Write the generator as a program that needs none of the notebook's classes, and as plain weights.

    generator.pt2: `torch.export.load("generator.pt2").module()(z)` gives faces in [-1, 1] for any number of z.
    generator.pt: its state_dict, for `load_state_dict` of the same class.

    Args:
        G: the generator (an averaged one is unwrapped); z_size: int; folder: where the two files go.
    Returns: list of the two paths.
    """
    G = copy.deepcopy(getattr(G, "module", G)).cpu().eval().to(memory_format=torch.contiguous_format)
    program = torch.export.export(G, (torch.randn(2, z_size),), dynamic_shapes=({0: torch.export.Dim.AUTO},))
    paths = [Path(folder) / "generator.pt2", Path(folder) / "generator.pt"]
    Path(folder).mkdir(parents=True, exist_ok=True)
    write_beside(paths[0], lambda file: torch.export.save(program, file))
    write_beside(paths[1], lambda file: torch.save(G.state_dict(), file))
    return [str(path) for path in paths]


# --- Measures: generated faces against photographs; all take float images (N, 3, S, S) in [0, 1] ---------------------


def _check_images(**sets):
    """Raise a ValueError that names the first of `sets` that is not float images (N, 3, S, S) in [0, 1]."""
    for name, x in sets.items():
        if x.dim() != 4 or x.shape[1] != 3 or x.shape[2] != x.shape[3] or not len(x):
            raise ValueError(f"{name} has shape {tuple(x.shape)}: give square images as (N, 3, S, S).")
        if not x.is_floating_point() or not (x.min() >= 0 and x.max() <= 1):
            raise ValueError(f"{name} must be float images in [0, 1]; scale [-1, 1] with (x + 1) / 2, uint8 with / 255.")


def _laplacian_pyramid(images):
    """Split (N, 3, S, S) into its levels of detail, S, S / 2, ... 16 pixels wide; the last keeps the colours too."""
    kernel = torch.tensor([1.0, 4, 6, 4, 1], device=images.device) / 16
    kernel = (kernel[:, None] * kernel).expand(3, 1, 5, 5)

    def blur(x):
        return F.conv2d(F.pad(x, (2, 2, 2, 2), mode="reflect"), kernel, groups=3)

    levels = []
    while images.shape[-1] >= 32 and images.shape[-1] % 2 == 0:
        smaller = blur(images)[:, :, ::2, ::2]
        spread = torch.zeros_like(images)
        spread[:, :, ::2, ::2] = 4 * smaller  # one pixel in four is set, so the blur that fills the gaps must not dim
        levels.append(images - blur(spread))
        images = smaller
    return [*levels, images]


def sliced_wasserstein(a, b, patches=128, directions=128, generator=None):
    """Sliced Wasserstein distance between the patches of two sets of images, level by level of a Laplacian pyramid.

    After Karras et al. 2018 (progressive growing): patches of 7 x 7, normalised per colour channel within their own set,
    are projected on random directions, where the distance between two sets is that of their sorted values.
    It sees the texture of each scale; not the overall tint and contrast, nor whether the parts make up a face.

    a, b:       float images (N, 3, S, S) in [0, 1], the same number and size. S is 16 or more.
    patches:    patches per image and level. Memory: about 0.4 MB for each image of a.
    generator:  torch.Generator on the CPU, for positions and directions.
    Returns {width of the level in pixels: distance x 1000}, finest level first, and "mean", their mean. 0: the same.
    Raises ValueError on images of another kind, or on sets that differ in number or size.
    """
    _check_images(a=a, b=b)
    if a.shape != b.shape:
        raise ValueError(f"a {tuple(a.shape)} and b {tuple(b.shape)} must be of the same number and size.")
    distances = {}
    for pair in zip(_laplacian_pyramid(a), _laplacian_pyramid(b), strict=True):
        n, _, size, _ = pair[0].shape
        projection = F.normalize(torch.randn(directions, 3 * 7 * 7, generator=generator), dim=1).to(a.device)
        y, x = torch.randint(size - 6, (2, n * patches), generator=generator).to(a.device)
        image = torch.arange(n, device=a.device).repeat_interleave(patches)
        projected = []
        for level in pair:  # the same positions in both, so that a set against itself scores 0
            cut = level.unfold(2, 7, 1).unfold(3, 7, 1)[image, :, y, x]  # n * patches x 3 x 7 x 7
            std, mean = torch.std_mean(cut, (0, 2, 3), keepdim=True)
            along = projection @ ((cut - mean) / std.clamp(min=1e-6)).flatten(1).T  # directions x n * patches
            projected.append(np.sort(along.cpu().numpy()))  # on a CPU several times as fast as torch's sort
        distances[size] = 1000 * float(np.abs(projected[0] - projected[1]).mean())
    return {**distances, "mean": sum(distances.values()) / len(distances)}


def variety(images, pairs=2000, generator=None):
    """Mean MS-SSIM of random pairs: 1 if all images are the same, lower the more they differ (Odena et al. 2017).

    Read it beside the value of photographs: above theirs, the generator repeats itself; below, it may be noise.
    images: float (N, 3, S, S) in [0, 1], S at least 32. The window is 7 x 7, so that S = 32, 64, 128 has 3, 4, 5 scales;
    values of different S must not be compared.
    """
    # Imported here, because it takes seconds and nothing else in this file needs it.
    from torchmetrics.functional.image import multiscale_structural_similarity_index_measure as ms_ssim

    _check_images(images=images)
    if len(images) < 2:
        raise ValueError("images holds one picture: variety is about two or more.")
    if images.shape[-1] < 32:
        raise ValueError(f"images are {images.shape[-1]} pixels wide: MS-SSIM needs 32 or more.")
    weights = torch.tensor([0.0448, 0.2856, 0.3001, 0.2363, 0.1333])  # Wang et al. 2003
    weights = weights[: int(images.shape[-1]).bit_length() - 3]
    weights = tuple((weights / weights.sum()).tolist())
    first = torch.randint(len(images), (pairs,), generator=generator)
    second = (first + torch.randint(1, len(images), (pairs,), generator=generator)) % len(images)  # never itself
    total = 0.0
    for i, j in zip(first.split(250), second.split(250), strict=True):
        total += ms_ssim(
            images[i], images[j], sigma=0.8, kernel_size=7, betas=weights, data_range=1.0, reduction="sum"
        ).item()
    return total / pairs


def nearest_photographs(faces, photographs, k=50):
    """The k photographs nearest to each face; a photograph's mirror image counts as the photograph.

    Distance: root mean square difference of pixels in [0, 1], both averaged down to 16 x 16, so that a little noise or
    a shift by half a pixel does not hide a copy.
    faces (N, 3, S, S), photographs (M, 3, S, S): float in [0, 1].
    Returns distances (N, k), nearest first, and the photographs' indices (N, k); k is at most M.
    """
    _check_images(faces=faces, photographs=photographs)
    k = min(k, len(photographs))
    small = F.adaptive_avg_pool2d(photographs, 16)
    straight, mirrored = small.flatten(1), small.flip(3).flatten(1)
    distances, indices = [], []
    for some in F.adaptive_avg_pool2d(faces, 16).flatten(1).split(256):  # 256 x M distances at a time
        nearest = torch.minimum(torch.cdist(some, straight), torch.cdist(some, mirrored)).topk(k, largest=False)
        distances.append(nearest.values / straight.shape[1] ** 0.5)
        indices.append(nearest.indices)
    return torch.cat(distances), torch.cat(indices)


def closeness(faces, photographs, skip=0):
    """How much nearer each face (N, 3, S, S) is to one photograph than to the next 49: near 0 for a copy, below 1.

    The distance to the nearest of the photographs (M, 3, S, S), divided by the mean distance to the next 49. The ratio
    is that of Carlini et al. 2023 (extracting training data from diffusion models); the distance alone would call a
    smooth face a copy, because a smooth face is near to all photographs.
    skip: how many of the nearest to pass over; 1 where the faces are photographs of the same set.
    Returns (N,). Raises ValueError on fewer than 100 photographs.
    """
    if len(photographs) < 100:
        raise ValueError(f"{len(photographs)} photographs are too few to tell a copy from a likeness: give 100 or more.")
    distances = nearest_photographs(faces, photographs, 50 + skip)[0][:, skip:]
    return distances[:, 0] / distances[:, 1:].mean(1).clamp(min=1e-6)


def memorised_share(faces, photographs):
    """Share of faces that are closer to a training photograph than photographs it was not trained on are.

    The rule: up to 1,000 of the photographs are held out in turn and their `closeness` to the rest is taken; a face is
    memorised if it is closer than 99 % of them. A generator that copies nothing, and new photographs, score about 0.01.
    Collections hold some pictures twice; held-out pictures that are such copies (closeness below 0.5) do not count
    among the 99 %, or a generator could copy as much as it likes.
    """
    held_out = closeness(photographs[:: -(-len(photographs) // 1000)], photographs, skip=1)
    distinct = held_out[held_out > 0.5]
    limit = distinct.quantile(0.01) if len(distinct) else 0.5
    return (closeness(faces, photographs) < limit).float().mean().item()
