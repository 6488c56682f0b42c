"""Turn photographs into processed_celeba_small/celeba/*.jpg: 64 x 64 RGB JPEG, one face in each.

    python -m faces.prepare SOURCE

SOURCE is a zip, a folder or a Parquet file; processed_celeba_small/README.md says which layouts are known. Run it again
after an interruption and it goes on where it stopped. One picture at a time is read into memory, and only the finished
JPEG, under a name made here, is written.
"""

import argparse
import functools
import hashlib
import io
import multiprocessing
import os
import re
import signal
import sys
import threading
from collections import Counter
from concurrent.futures import ALL_COMPLETED, FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from common import Progress
from faces.draw import remove_drawn
from faces.pictures import open_picture, shown
from faces.sources import open_source

HOME = Path(__file__).resolve().parent.parent / "processed_celeba_small"
SIZE = 64
CELEBA_SIZE, CELEBA_CROP = (178, 218), 108  # aligned CelebA, and the centre crop in common use for GANs on it
# Where dlib's box for the face lies in the finished picture: centre x, centre y, width; a share of the side each.
# These are the means over aligned 64 x 64 face crops; they give the framing that CELEBA_CROP gives.
FACE_BOX = (0.49, 0.66, 0.73)


def cut_face(image):
    """Crop an RGB picture to its face: (64 x 64 RGB PIL.Image, how it was cropped, in words)."""
    width, height = image.size
    side, x, y = min(image.size), width / 2, height / 2
    if image.size == (SIZE, SIZE):
        return image, "taken as they were"
    elif image.size == CELEBA_SIZE:
        side, how = CELEBA_CROP, "cropped as aligned CelebA"
    elif face := _largest_face(image):
        side = face[2] / FACE_BOX[2]
        x, y = face[0] + (0.5 - FACE_BOX[0]) * side, face[1] + (0.5 - FACE_BOX[1]) * side
        how = "centred on the face that dlib found"
    else:
        how = "cropped at the centre, no face having been found"
    side = min(side, width, height)  # a square that leaves the picture is shrunk and moved until it lies inside
    left, top = min(max(x - side / 2, 0), width - side), min(max(y - side / 2, 0), height - side)
    box = (left, top, left + side, top + side)
    return image.resize((SIZE, SIZE), Image.Resampling.LANCZOS, box=box, reducing_gap=3.0), how


@functools.cache
def _detector():
    try:
        import dlib
    except ImportError:
        return lambda pixels, enlarged: []
    return dlib.get_frontal_face_detector()


def _largest_face(image):
    """Box of the largest face, (centre x, centre y, width) in the picture's pixels; None without a face or dlib."""
    small = image.convert("L")
    small.thumbnail((480, 480))  # finds faces of a sixth of the picture; enlarged by two, of a twelfth
    faces = _detector()(np.asarray(small), 0) or _detector()(np.asarray(small), 1)
    if not faces:
        return None
    face, scale = max(faces, key=lambda box: box.area()), image.width / small.width
    return (face.left() + face.right()) / 2 * scale, (face.top() + face.bottom()) / 2 * scale, face.width() * scale


def prepare(source, home):
    """Fill home/celeba from source; say on stdout what was done and on stderr what was skipped.

    source: path of a zip, a folder or a Parquet file. Returns the number of source's pictures that are in home/celeba.
    Pictures that are there from an earlier run are not made again. The drawn faces are taken out of home/drawn, not to
    be mixed with photographs. Raises ValueError in one line for a source that cannot be used or of which more than half
    is broken (then none of its pictures stay), OSError for a full disk and the like.
    """
    source, home = Path(source).resolve(), Path(home).resolve()
    if (home / "celeba").is_relative_to(source) or source.is_relative_to(home / "celeba"):
        raise ValueError(f"{source} is where the prepared pictures go; give a folder outside of {home}")
    count, pictures = open_source(source)
    print(f"Preparing {count:,} pictures of {source}", flush=True)
    for left_over in home.glob(".*.part"):  # of a run that was killed
        left_over.unlink()
    have = {file.name for file in home.glob("celeba/*.jpg")}
    targets, skipped, how, repeats = [], [], Counter(), Counter()
    cores = min(os.cpu_count() or 1, 61)  # Windows waits for no more than 61 processes
    # "spawn" everywhere: a worker has no copy of a sibling's pipes, and so sees its parent die.
    pool = ProcessPoolExecutor(cores, multiprocessing.get_context("spawn"), _start_worker)
    with pool, Progress(total=count, desc="preparing", unit=" pictures") as bar:

        def note(name, words=None, reason=None):
            bar.update()
            if reason:
                skipped.append((name, reason))
            else:
                how[words] += 1

        def wait_for(tasks, when):
            done, running = wait(tasks, return_when=when)
            for result in (result for task in done for result in task.result()):
                note(*result)
            return running

        running, chunk, size = set(), [], 0
        for name, mark, load in pictures:
            repeats[name] += 1  # a zip may hold two members of one name
            targets.append(_target(f"{source.name}/{name}", f"{mark} {repeats[name]}"))
            if targets[-1] in have:
                note(name, "there from an earlier run")
                continue
            try:
                chunk.append((name, targets[-1], load()))
            except ValueError as error:
                note(name, reason=str(error))
                continue
            size += len(chunk[-1][2]) if isinstance(chunk[-1][2], bytes) else 0
            if len(chunk) == 16 or size > 8_000_000:
                running.add(pool.submit(_work, chunk, home))
                chunk, size = [], 0
            if len(running) > 2 * cores:  # bounds the memory
                running = wait_for(running, FIRST_COMPLETED)
        if chunk:
            running.add(pool.submit(_work, chunk, home))
        wait_for(running, ALL_COMPLETED)
    return _report(source, home, targets, sorted(skipped), how)


def _report(source, home, targets, skipped, how):
    folder = home / "celeba"
    if skipped:
        lines = [f"  {shown(name)}: {reason}" for name, reason in skipped[:10]]
        lines += [f"  and {len(skipped) - 10:,} more"] if len(skipped) > 10 else []
        print("\n".join([f"Warning: skipped {len(skipped):,} of {len(targets):,} pictures:", *lines]), file=sys.stderr)
    if len(skipped) > len(targets) / 2:
        for target in targets:
            (folder / target).unlink(missing_ok=True)
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()  # ImageFolder fails on a class without pictures
        raise ValueError(f"more than half of the pictures of {source} cannot be used; none was kept")
    made = len(targets) - len(skipped)
    print(f"{made:,} pictures are in {folder}: " + "; ".join(f"{n:,} {words}" for words, n in how.most_common()))
    drawn = home / "drawn"
    if drawn.is_dir() and remove_drawn(drawn):
        print(f"Removed the drawn faces in {drawn}: the photographs are used instead. They can be drawn again.")
    return made


def _target(name, mark):
    """A file name of our own: readable, the same in every run, another one for every picture of every source."""
    digest = hashlib.sha256(f"{name}\0{mark}".encode("utf-8", "surrogateescape")).hexdigest()[:12]
    return f"{re.sub('[^A-Za-z0-9_-]', '', PurePosixPath(name).stem)[:40] or 'face'}-{digest}.jpg"


def _start_worker():
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent to answer

    def follow_parent():  # a killed parent cannot stop its workers
        multiprocessing.parent_process().join()
        os._exit(1)

    threading.Thread(target=follow_parent, daemon=True).start()


def _work(chunk, home):
    """In a worker: make the pictures of chunk. List of (name, how it was cropped, None) or (name, None, why not)."""
    results = []
    for name, target, data in chunk:
        try:
            face, how = cut_face(open_picture(io.BytesIO(data) if isinstance(data, bytes) else data))
        except ValueError as error:
            results.append((name, None, str(error)))
            continue
        face.info = {}  # no comment, profile or place goes along
        jpeg = io.BytesIO()
        face.save(jpeg, "JPEG", quality=95)
        part = home / f".{target}.{os.getpid()}.part"
        part.write_bytes(jpeg.getvalue())  # Pillow, writing to a file itself, does not notice that the disk is full
        (home / "celeba").mkdir(exist_ok=True)
        os.replace(part, home / "celeba" / target)  # a kill leaves a whole picture or none
        results.append((name, how, None))
    return results


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m faces.prepare",
                                     description="Turn photographs into processed_celeba_small/celeba/*.jpg, 64 x 64.")
    parser.add_argument("source", help="a zip, a folder or a Parquet file: CelebA in any usual layout, or portraits")
    try:
        prepare(parser.parse_args(arguments).source, HOME)
    except (ValueError, OSError) as error:
        sys.exit(f"faces.prepare: {error}")
    except BrokenProcessPool:
        sys.exit("faces.prepare: a worker process died, out of memory perhaps; run again to go on where it stopped")
    except KeyboardInterrupt:
        sys.exit("faces.prepare: stopped; run it again to go on")


if __name__ == "__main__":
    main()
