"""Turn photographs into processed_celeba_small/celeba/*.jpg: 64 x 64 RGB JPEG, one face in each.

    python processed_celeba_small/prepare.py SOURCE

SOURCE is a zip, a folder or a Parquet file; README.md beside this file says which layouts are known. Run it again
after an interruption and it goes on where it stopped. Nothing of an archive is unpacked to disk: one picture at a time
is read into memory, and only the finished JPEG, under a name made here, is written.
"""

import argparse
import contextlib
import functools
import hashlib
import io
import multiprocessing
import os
import re
import shutil
import signal
import stat
import sys
import threading
import warnings
import zipfile
from collections import Counter
from concurrent.futures import ALL_COMPLETED, FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path, PurePosixPath

from PIL import Image, ImageOps
from tqdm import tqdm

HOME = Path(__file__).resolve().parent
SIZE = 64
CELEBA_SIZE, CELEBA_CROP = (178, 218), 108  # aligned CelebA, and the centre crop in common use for GANs on it
# Where dlib's box for the face lies in the finished picture: centre x, centre y, width; a share of the side each.
# These are the means over aligned 64 x 64 face crops; they give the framing that CELEBA_CROP gives.
FACE_BOX = (0.49, 0.66, 0.73)

# Limits. A picture beyond them is skipped; an archive beyond them is refused.
MAX_PIXELS = 50_000_000  # of one picture
MAX_BYTES = 100_000_000  # of one picture's file
MAX_RATIO = 100  # size unpacked / size packed, of one zip member; photographs hardly compress
MAX_PICTURES = 500_000  # in one source; CelebA has 202,599
MAX_TOTAL = 100_000_000_000  # bytes of a zip's pictures, unpacked
MAX_DIRECTORY = 64_000_000  # bytes of a zip's table of contents; CelebA's has about 20,000,000
MAX_ROW_GROUP = 2_000_000_000  # bytes of one row group of a Parquet file, unpacked

FORMATS = ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM")  # not EPS, for which Pillow starts Ghostscript
# HEIC and AVIF cannot be read, but are listed so that they are reported, not passed over in silence.
SUFFIXES = {".jpg", ".jpeg", ".png", ".gif", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".heic", ".avif"}
ARCHIVES = {".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar"}


def open_picture(file):
    """Read one picture as people see it.

    file: path, or binary file open for reading.
    Returns an RGB PIL.Image, 8 bits a channel: the first frame, turned as its EXIF data says, alpha laid over white,
    16 bits scaled down to 8; grey, palette and CMYK become RGB.
    Raises ValueError with one line that gives the reason: unreadable, cut off, of another format, or of more than
    MAX_PIXELS pixels.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of odd metadata; the picture matters
            with Image.open(file, formats=FORMATS) as image:
                return _decode(image)
    except Exception as error:  # the decoders raise a dozen types on damaged data; all mean the same to the caller
        unknown = isinstance(error, Image.UnidentifiedImageError)
        raise ValueError(f"not a readable picture ({'unknown format' if unknown else _first_line(error)})") from None


def _decode(image):
    if image.width * image.height > MAX_PIXELS:
        raise ValueError(f"{image.width} x {image.height} pixels; the limit is {MAX_PIXELS:,}")
    if image.mode == "F":
        raise ValueError("its pixels are floating point numbers of unknown range")
    image.load()
    with contextlib.suppress(Exception):  # damaged EXIF data says nothing about the pixels
        image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):  # 16 bits a pixel; 65535 // 257 = 255
        import numpy as np

        image = Image.fromarray((np.asarray(image).clip(0, 65535) // 257).astype(np.uint8))
    if image.has_transparency_data:
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
    return image.convert("RGB")


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
    import numpy as np

    small = image.convert("L")
    small.thumbnail((480, 480))  # finds faces of a sixth of the picture; enlarged by two, of a twelfth
    faces = _detector()(np.asarray(small), 0) or _detector()(np.asarray(small), 1)
    if not faces:
        return None
    face, scale = max(faces, key=lambda box: box.area()), image.width / small.width
    return (face.left() + face.right()) / 2 * scale, (face.top() + face.bottom()) / 2 * scale, face.width() * scale


# Sources. Each is opened to (number of pictures, iterator over (name, mark, load)). The mark tells two pictures of one
# name apart: a size or a sum. load() gives a path or the bytes of the picture's file, or raises ValueError with the
# reason to skip it. What a source is made of is not trusted.


def _open_source(source):
    if not source.is_dir():
        if not source.is_file():
            raise ValueError(f"{source} does not exist; give a zip, a folder or a Parquet file of photographs")
        return _open_parquet([source], source.parent) if source.suffix.lower() == ".parquet" else _open_zip(source)
    files = sorted(Path(folder, name) for folder, _, names in os.walk(source) for name in names)
    tables = [file for file in files if file.suffix.lower() == ".parquet" and file.is_file()]
    return _open_parquet(tables, source) if tables else _open_folder(files, source)


def _open_folder(files, source):
    names = [file.relative_to(source).as_posix() for file in files]
    pictures = [source / name for name in names if _is_picture(name)]
    _check_count(len(pictures), source, names)
    return len(pictures), (
        (file.relative_to(source).as_posix(), file.lstat().st_size, functools.partial(_load_file, file, source))
        for file in pictures
    )


def _load_file(file, source):
    if not file.is_file():  # opening a pipe or a device could wait for ever
        raise ValueError("not a regular file")
    if file.is_symlink() and not file.resolve().is_relative_to(source):
        raise ValueError("a link that leads out of the folder")
    if file.stat().st_size > MAX_BYTES:
        raise ValueError(f"larger than {MAX_BYTES:,} bytes")
    return file


class _ZipFile(io.FileIO):
    """zipfile reads the whole table of contents in one call: refuse one that would fill the memory."""

    def read(self, size=-1):
        if size > MAX_DIRECTORY:
            raise zipfile.BadZipFile(f"its table of contents is larger than {MAX_DIRECTORY:,} bytes")
        return super().read(size)


def _open_zip(source):
    try:
        archive = zipfile.ZipFile(_ZipFile(source))
    except Exception as error:  # BadZipFile, and OSError, struct.error, UnicodeDecodeError, ... on damaged ones
        remedy = "fetch it again, or unpack it with the program that made it and give the folder"
        raise ValueError(f"{source} is not a whole zip archive ({_first_line(error)}); {remedy}") from None
    members = [info for info in archive.infolist() if _is_picture(info.filename)]
    _check_count(len(members), source, archive.namelist())
    if any(info.flag_bits & 1 for info in members):
        raise ValueError(f"{source} is encrypted; unpack it with its password and give the folder")
    if sum(info.file_size for info in members) > MAX_TOTAL:
        raise ValueError(f"{source} would unpack to more than {MAX_TOTAL:,} bytes; this is taken for a zip bomb")
    return len(members), ((info.filename, info.CRC, functools.partial(_load_member, archive, info)) for info in members)


def _load_member(archive, info):
    parts = re.split(r"[/\\]", info.filename)
    if ".." in parts or parts[0] == "" or ":" in parts[0]:
        raise ValueError("its path leads out of the archive")
    if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG):
        raise ValueError("a link or a device, not a file")
    if info.file_size > MAX_BYTES:
        raise ValueError(f"larger than {MAX_BYTES:,} bytes")
    if info.file_size > MAX_RATIO * info.compress_size:
        raise ValueError(f"unpacks to more than {MAX_RATIO} times its size; this is taken for a bomb")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):  # zipfile cannot bound the others' output
        raise ValueError("packed with a method other than deflate")
    try:
        with archive.open(info) as member:
            return member.read(info.file_size)
    except Exception as error:  # a wrong sum, a lying header, data that does not unpack
        raise ValueError(f"cannot be unpacked ({_first_line(error)})") from None


def _open_parquet(files, source):
    try:
        import pyarrow.parquet
    except ImportError:
        raise ValueError(f"{source} holds Parquet files, which need pyarrow: pip install pyarrow") from None
    tables, count = [], 0
    for file in files:
        try:
            table = pyarrow.parquet.ParquetFile(file, buffer_size=1_000_000)  # buffered: not a whole column at a time
            groups = [table.metadata.row_group(index) for index in range(table.num_row_groups)]
        except Exception as error:
            raise ValueError(f"{file} is not a whole Parquet file ({_first_line(error)}); fetch it again") from None
        columns = [column.path for column in table.schema if re.fullmatch(r"[^.]+\.bytes", column.path)]
        if not columns:
            raise ValueError(f"{file} has no column of pictures, a struct of bytes and path")
        if any(group.total_byte_size > MAX_ROW_GROUP for group in groups):
            raise ValueError(f"{file} has a row group of more than {MAX_ROW_GROUP:,} bytes; this is taken for a bomb")
        count += table.metadata.num_rows
        tables.append((file.relative_to(source), table, "image.bytes" if "image.bytes" in columns else columns[0]))
    _check_count(count, source, [])
    return count, _rows(tables)


def _rows(tables):
    for name, table, column in tables:
        row = 0
        try:
            for batch in table.iter_batches(batch_size=16, columns=[column]):
                for cell in batch.column(0).to_pylist():
                    data = cell and cell["bytes"] or b""
                    yield f"{name.as_posix()}/{row:06}", len(data), functools.partial(_load_cell, data)
                    row += 1
        except Exception as error:
            raise ValueError(f"{name} is damaged at row {row} ({_first_line(error)}); fetch it again") from None


def _load_cell(data):
    if not data or len(data) > MAX_BYTES:
        raise ValueError(f"larger than {MAX_BYTES:,} bytes" if data else "the row holds no picture")
    return data


def _is_picture(name):
    parts = name.replace("\\", "/").split("/")
    junk = any(part == "__MACOSX" or part.startswith(".") and part not in (".", "..") for part in parts)
    return PurePosixPath(parts[-1]).suffix.lower() in SUFFIXES and not junk


def _check_count(count, source, names):
    if count > MAX_PICTURES:
        raise ValueError(f"{source} holds {count:,} pictures; the limit is {MAX_PICTURES:,}")
    if count == 0:
        inner = next((name for name in names if PurePosixPath(name).suffix.lower() in ARCHIVES), None)
        hint = f", but {_shown(inner)}: take that out and give it as SOURCE" if inner else ""
        raise ValueError(f"{source} holds no pictures ({' '.join(sorted(SUFFIXES))} .parquet){hint}")


# The work.


def prepare(source, home=HOME):
    """Fill home/celeba from source; say on stdout what was done and on stderr what was skipped.

    source: path of a zip, a folder or a Parquet file. Returns the number of source's pictures that are in home/celeba.
    Pictures that are there from an earlier run are not made again. Takes home/drawn away, so that photographs and drawn
    faces are not mixed. Raises ValueError in one line for a source that cannot be used or of which more than half is
    broken (then none of its pictures stay), OSError for a full disk and the like.
    """
    source, home = Path(source).resolve(), Path(home).resolve()
    if (home / "celeba").is_relative_to(source) or source.is_relative_to(home / "celeba"):
        raise ValueError(f"{source} is where the prepared pictures go; give a folder outside of {home}")
    count, pictures = _open_source(source)
    print(f"Preparing {count:,} pictures of {source}", flush=True)
    for left_over in home.glob(".*.part"):  # of a run that was killed
        left_over.unlink()
    have = {file.name for file in home.glob("celeba/*.jpg")}
    targets, skipped, how, repeats = [], [], Counter(), Counter()
    cores = min(os.cpu_count() or 1, 61)  # Windows waits for no more than 61 processes
    # "spawn" everywhere: a worker has no copy of a sibling's pipes, and so sees its parent die.
    pool = ProcessPoolExecutor(cores, multiprocessing.get_context("spawn"), _start_worker)
    with pool, tqdm(total=count, unit=" pictures", disable=None) as bar:

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
        lines = [f"  {_shown(name)}: {reason}" for name, reason in skipped[:10]]
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
    if drawn.is_dir() and not drawn.is_symlink():
        shutil.rmtree(drawn)
        print(f"Removed the drawn faces in {drawn}: the photographs are used instead. draw.py can draw them again.")
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


def _shown(name):
    """A name from outside, safe to print: no control characters, not endless."""
    return "".join(c if c.isprintable() else "?" for c in name[-100:])


def _first_line(error):
    return _shown((str(error) or type(error).__name__).splitlines()[0])


def main():
    parser = argparse.ArgumentParser(description="Turn photographs into processed_celeba_small/celeba/*.jpg, 64 x 64.")
    parser.add_argument("source", help="a zip, a folder or a Parquet file: CelebA in any usual layout, or portraits")
    try:
        prepare(parser.parse_args().source)
    except (ValueError, OSError) as error:
        sys.exit(f"prepare.py: {error}")
    except BrokenProcessPool:
        sys.exit("prepare.py: a worker process died, out of memory perhaps; run again to go on where it stopped")
    except KeyboardInterrupt:
        sys.exit("prepare.py: stopped; run it again to go on")


if __name__ == "__main__":
    main()
