"""Draw the embedded default faces, photograph-like pictures that need no download: processed_celeba_small/drawn/*.jpg.

    python -m faces.draw [FOLDER]

A face depends on the seed and on its own number alone: a set of random traits (traits.py), painted part by part
(paint.py). The pictures are 64 x 64 JPEG files, 00000.jpg and so on; a comment in each says that this program drew it.
"""

import argparse
import contextlib
import functools
import io
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from common import Progress
from faces.canvas import SIZE
from faces.paint import paint
from faces.traits import together
from faces.view import pictures_in

ROOT = Path(__file__).resolve().parent.parent  # the project's folder
BATCH = 8  # faces drawn at a time: few enough for their maps to stay in the processor's cache
MARK = b"drawn by faces.draw"  # the comment in each picture


def draw(numbers, seed=0):
    """The faces of these numbers in the series that `seed` starts: (N, 64, 64, 3) uint8, sRGB."""
    numbers = list(numbers)
    batches = [numbers[start : start + BATCH] for start in range(0, len(numbers), BATCH)]
    return np.concatenate([paint(together([np.random.default_rng((seed, n)) for n in batch])) for batch in batches])


def _jpeg(picture, **comment):
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=92, **comment)
    return file.getvalue()


def _missing(folder, numbers):
    return [number for number in numbers if not (folder / f"{number:05d}.jpg").exists()]


def _write(folder, numbers, seed, tell):
    """Draw these faces into the folder, each under a hidden name first and renamed when whole; tell(1) after each."""
    for start in range(0, len(numbers), BATCH):
        some = numbers[start : start + BATCH]
        for number, picture in zip(some, draw(some, seed), strict=True):
            part = folder / f".{number:05d}.part"
            part.write_bytes(_jpeg(picture, comment=MARK))  # Pillow, writing a file itself, does not notice a full disk
            os.replace(part, folder / f"{number:05d}.jpg")
            tell(1)


def write_share(folder, count, seed, share, shares):
    """In a process of its own: draw every `shares`-th of the faces that are missing, and print a dot for each."""
    folder = Path(folder)
    _write(folder, _missing(folder, range(share, count, shares)), seed, lambda _: print(end=".", flush=True))


def _write_by_processes(folder, count, seed, processes, tell):
    """Start `processes` that share the work, and tell(n) when n more faces are drawn, until all have ended.

    They are started by a command, not by multiprocessing: that would run an unguarded script once more in each of them,
    and would not find this package from a notebook that came into the project's folder by %cd.
    """
    reading, writing = os.pipe()
    running = []
    try:
        for share in range(processes):
            call = f"from faces.draw import write_share; write_share({str(folder)!a}, {count}, {seed}, {share}, {processes})"
            with contextlib.suppress(OSError):  # it cannot be started
                running.append(subprocess.Popen([sys.executable, "-c", call], cwd=ROOT, stdin=subprocess.DEVNULL,
                                                stdout=writing, stderr=subprocess.DEVNULL))
        os.close(writing)
        writing = None
        while dots := os.read(reading, 1000):  # nothing is read once the last of them has ended
            tell(len(dots))
    finally:
        for process in running:  # when interrupted
            process.kill()
            process.wait()
        for end in (reading, writing):
            if end is not None:
                os.close(end)


def draw_faces(folder, count=8000, seed=0):
    """Fill `folder` with the faces 00000.jpg to `count` - 1, and return how many pictures it then holds.

    Pictures that are there already stay, so a run that was stopped is completed by the next. Many are drawn by one
    process a core. Raises OSError if the folder cannot be written.
    """
    folder = Path(folder).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    many, cores = len(_missing(folder, range(count))), os.cpu_count() or 1
    try:
        with Progress(total=many, desc="drawing faces", unit=" faces") as bar:
            if cores > 1 and many > 50 * BATCH:  # for fewer, starting processes takes longer than drawing
                _write_by_processes(folder, count, seed, cores, bar.update)
            # What no process drew; where one failed, this says why.
            _write(folder, _missing(folder, range(count)), seed, bar.update)
    finally:
        for part in folder.glob(".*.part"):
            part.unlink(missing_ok=True)
    return len(list(folder.glob("*.jpg")))


@functools.cache
def _unmarked_header():
    """What an earlier edition's pictures begin with, which had no comment: the same size and quality, the same tables."""
    jpeg = _jpeg(np.zeros((SIZE, SIZE, 3), np.uint8))
    return jpeg[: jpeg.index(b"\xff\xda")]  # up to the pixels


def is_drawn(path):
    """Did this program draw the picture at `path`? Told by the file's name, NNNNN.jpg, and by what the file begins with."""
    if not re.fullmatch(r"\d{5}\.jpg", path.name) or not path.is_file():
        return False
    with open(path, "rb") as file:
        beginning = file.read(1000)
    return MARK in beginning[:100] or beginning.startswith(_unmarked_header())


def remove_drawn(folder):
    """Delete the pictures in `folder` that this program drew, and the folder if nothing else lies in it.

    They are stand-ins, not to be mixed with photographs, and can be drawn again. Whatever else lies there stays; one
    line says so. Returns: int, how many were deleted. Raises OSError if that cannot be done.
    """
    drawn = [path for path in folder.glob("*.jpg") if is_drawn(path)]
    for path in drawn:
        path.unlink()
    others = len(pictures_in(folder))
    if others:
        print(f"{others:,} pictures in {folder} were not drawn by this project: they stay, and count as photographs.")
    with contextlib.suppress(OSError):  # something else lies in it, or it is a link
        folder.rmdir()
    return len(drawn)


def main():
    parser = argparse.ArgumentParser(prog="python -m faces.draw", description="Draw the embedded default faces.")
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "processed_celeba_small" / "drawn")
    parser.add_argument("--count", type=int, default=8000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    print(draw_faces(given.folder, given.count, given.seed), "faces in", given.folder)


if __name__ == "__main__":
    main()
