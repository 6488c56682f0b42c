"""What do the pictures cost, for 1,000 of them and for 200,000? One row of a table for each number.

    python -m benchmarks.data

JPEG files of 64 x 64 pixels, 2,000 of them under many names, decoded to 32 x 32. cold: seconds from `get_dataloader` to
the first batch where there is no cache file yet; warm: with it. Then, warm: microseconds for each image of an epoch
that is only read, the share of training that is spent waiting for batches, and the memory that the process holds, in
MB, Python and PyTorch included: cold with the pictures loaded, warm when training too. Each number is measured in a
process of its own. About six minutes on two cores.
"""

import itertools
import multiprocessing
import os
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import psutil  # comes with Jupyter
import torch

from benchmarks.throughput import notebooks_loop, write_pictures
from further import course

COUNTS = (1_000, 12_000, 90_000, 200_000)
DIFFERENT = 2_000  # pictures; the others are these under other names
SIZE = 32
BATCHES = 60  # of training
COLUMNS = ("pictures", "cold, s", "warm, s", "µs an image", "waiting", "memory cold", "memory warm")


class Waiting:
    """A loader's first batches, and how many seconds the next one was waited for."""

    def __init__(self, loader, count):
        self.loader, self.count, self.seconds = loader, count, 0.0

    def __len__(self):
        return self.count

    def __iter__(self):
        batches = itertools.chain.from_iterable(itertools.repeat(self.loader))
        for _ in range(self.count):
            began = time.perf_counter()
            batch = next(batches)
            self.seconds += time.perf_counter() - began
            yield batch


def megabytes():
    """The memory that this process holds."""
    return psutil.Process().memory_info().rss / 1e6


def first_batch(folder):
    """Returns: seconds from the call of `get_dataloader` to the first batch, and the loader."""
    names = course.load()
    began = time.perf_counter()
    loader = names.get_dataloader(64, SIZE, folder)
    next(iter(loader))
    return time.perf_counter() - began, loader


def cold(folder):
    seconds, loader = first_batch(folder)
    return seconds, megabytes(), len(loader)  # the loader lives until here


def warm(folder, few, batches):
    """few: a folder whose few pictures a training is set up with, so that it holds little; batches: how many it does."""
    seconds, loader = first_batch(folder)
    began, images = time.perf_counter(), 0
    for batch, _ in loader:
        images += len(batch)
    each = (time.perf_counter() - began) / images
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    loop, _ = notebooks_loop(few, SIZE, device, decoded=False)  # its own loader is not used
    loop(Waiting(loader, 3))
    waiting = Waiting(loader, batches)
    began = time.perf_counter()
    loop(waiting)
    return seconds, each, waiting.seconds / (time.perf_counter() - began), megabytes()


def alone(function, *args):
    """Run a function in a fresh process."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *args).result()


def main():
    print_row(COLUMNS)
    print("|" + "|".join("-" * (len(name) + 1) + ":" for name in COLUMNS) + "|")
    with tempfile.TemporaryDirectory() as folder:
        write_pictures(Path(folder) / "some", DIFFERENT)
        some = sorted((Path(folder) / "some").iterdir())
        for count in COUNTS:
            faces = Path(folder) / str(count) / "faces"
            faces.mkdir(parents=True)
            for number, picture in zip(range(count), itertools.cycle(some), strict=False):
                os.link(picture, faces / f"{number:06d}.jpg")
            cold_seconds, cold_memory, _ = alone(cold, str(faces.parent))
            few = str(Path(folder) / str(COUNTS[0]))
            warm_seconds, each, share, warm_memory = alone(warm, str(faces.parent), few, BATCHES)
            print_row((f"{count:,}", f"{cold_seconds:.1f}", f"{warm_seconds:.2f}", f"{1e6 * each:.1f}", f"{share:.1%}",
                       f"{cold_memory:,.0f}", f"{warm_memory:,.0f}"))
    print(f"\nPython and PyTorch alone hold {alone(megabytes):,.0f} MB.")


def print_row(values):
    print("| " + " | ".join(f"{value:>{len(name)}}" for value, name in zip(values, COLUMNS, strict=True)) + " |", flush=True)


if __name__ == "__main__":
    main()
