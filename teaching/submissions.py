"""What a class handed in: a folder's notebooks, folders and zips, one submission each, and the names that they go by."""

import collections
import hashlib
import lzma
import os
import re
import struct
import unicodedata
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

from common import FaceError, listed

LARGEST = 100_000_000  # bytes of a notebook, and of a zip
MOST_ENTRIES = 10_000  # in a zip or a folder


@dataclass
class Submission:
    """One learner's work. name: to be shown; page: the same as a file's name, without its ending; path: where it lies."""

    name: str
    page: str
    path: Path

    def notebook(self):
        """The notebook's bytes, of the file itself, the one in the folder, or the one in the zip.

        Nothing is unpacked: a zip's notebook is read up to LARGEST bytes, whatever its paths and its directory say.
        Raises: FaceError, one line, where there is not exactly one.
        """
        path = self.path
        try:
            if path.is_dir():
                path = _only_file(path)
            if path.stat().st_size > LARGEST:
                raise FaceError(f"{path.name} is larger than {LARGEST // 1_000_000} MB.")
            if path.suffix.lower() == ".zip":
                return _from_zip(path)
            if path.suffix.lower() != ".ipynb":
                raise FaceError(f"{path.name} is no notebook: hand in the .ipynb file that Jupyter saved.")
            return path.read_bytes()
        except OSError as error:
            raise FaceError(f"{path.name} cannot be read ({error.strerror or error}).") from None


def submissions_in(folder, but=None):
    """List the submissions in a folder, sorted by name: NAME.ipynb, NAME.zip or the folder NAME, each with one notebook.

    Any other file is a submission too, whose notebook() says what is wrong with it; hidden files and `but` (the folder of
    marks) are passed over. Raises: FaceError if there is no such folder, or nothing in it.
    """
    folder = Path(folder)
    try:
        paths = sorted((path for path in folder.iterdir() if not path.name.startswith((".", "__MACOSX"))
                        and not (but and path.resolve() == Path(but).resolve())), key=os.fsencode)
    except OSError as error:
        raise FaceError(f"{folder} cannot be listed ({error.strerror}): name the folder of submissions.") from None
    if not paths:
        raise FaceError(f"{folder} holds no submissions: put NAME.ipynb, NAME.zip or a folder NAME for each learner in.")
    names, pages = _names(paths)
    return [Submission(*both, path) for *both, path in zip(names, pages, paths, strict=True)]


def _names(paths):
    """The names to show and the names for files, each its own, even where the disk does not tell A from a."""
    names = [listed([path.name if path.is_dir() else path.stem]) for path in paths]  # without unprintable characters
    pages = [re.sub(r"[^\w-]+", "_", unicodedata.normalize("NFKC", name)) for name in names]
    alike = [page.casefold() for page in pages]
    taken, same = collections.Counter(alike), collections.Counter(names)
    for i, path in enumerate(paths):
        mark = hashlib.sha256(os.fsencode(path.name)).hexdigest()[:6]
        if taken[alike[i]] > 1 or alike[i] in ("_", "class", "con", "prn", "aux", "nul") or len(pages[i]) > 80:
            pages[i] = f"{pages[i][:80]}-{mark}"
        if same[names[i]] > 1:
            names[i] = f"{listed([path.name])} ({mark})"
    return names, pages


def _only(found, where):
    """The one notebook among the names found."""
    if not found:
        raise FaceError(f"{where} holds no notebook: hand in the .ipynb file that Jupyter saved.")
    if len(found) > 1:
        raise FaceError(f"{where} holds {len(found)} notebooks ({listed(sorted(map(str, found)), 3)}): leave one.")
    return found[0]


def _wanted(parts, suffix):
    hidden = [part for part in parts if part.startswith((".", "__MACOSX")) and part != "."]
    return parts[-1].lower().endswith(suffix) and not hidden


def _only_file(folder):
    """The one notebook under a folder, else the one zip; links are passed over, since they lead to other people's files."""
    paths = []
    for place, _, files in os.walk(folder):
        paths += [Path(place, name) for name in files if not Path(place, name).is_symlink()]
        if len(paths) > MOST_ENTRIES:
            raise FaceError(f"{folder.name} holds more than {MOST_ENTRIES:,} files.")
    for suffix in (".ipynb", ".zip"):
        found = [path for path in paths if path.is_file() and _wanted(path.relative_to(folder).parts, suffix)]
        if found:
            break
    return folder / _only([path.relative_to(folder) for path in found], folder.name)


def _from_zip(path):
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            if len(entries) > MOST_ENTRIES:
                raise FaceError(f"{path.name} holds more than {MOST_ENTRIES:,} files.")
            name = _only([entry.filename for entry in entries if _wanted(entry.filename.split("/"), ".ipynb")], path.name)
            with archive.open(name) as file:
                data = file.read(LARGEST + 1)
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError, ValueError, NotImplementedError):
        raise FaceError(f"{path.name} is no zip that can be read: pack it again.") from None
    except RuntimeError:
        raise FaceError(f"{path.name} is locked with a password: pack it again without one.") from None
    if len(data) > LARGEST:
        raise FaceError(f"{path.name} holds a notebook that is larger than {LARGEST // 1_000_000} MB.")
    return data
