"""What a folder of faces holds, as torchvision's ImageFolder would find it, but for what programs leave in any folder.

Jupyter leaves .ipynb_checkpoints, macOS __MACOSX and ._NAME.jpg, network drives @eaDir. ImageFolder takes each such
folder for a kind of faces, and their pictures for faces (of .DS_Store and Thumbs.db it takes no notice). They are passed
over here, and for ImageFolder `clean_view` makes a folder of links to all the rest. The user's folder stays as it is.
"""

import contextlib
import hashlib
import os
import secrets
import shutil
from pathlib import Path

from common import FaceError, listed

VIEWS = Path(".cache") / "faces"  # in the current folder
LEFT_BEHIND = {"__MACOSX", "@eaDir"}
EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")  # of ImageFolder's pictures


def is_picture(name):
    """Does ImageFolder take a file of this name for a picture?"""
    return name.lower().endswith(EXTENSIONS)


def is_junk(name):
    """Is a file or folder of this name passed over: hidden, or left behind by another program?"""
    return name.startswith(".") or name in LEFT_BEHIND


def pictures_in(folder):
    """Paths (str) of the pictures in a folder and all folders under it, in ImageFolder's order. Links are followed."""
    found = []
    for inner, folders, names in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if not is_junk(name)]
        found.append((inner, sorted(name for name in names if is_picture(name) and not is_junk(name))))
    return [os.path.join(inner, name) for inner, names in sorted(found) for name in names]


class Survey:
    """What lies in a folder of faces.

    classes: {name: number of pictures} of the folders in it, in the order of their names;
    junk: paths of what is passed over and would disturb ImageFolder;
    links: {name: what a clean view must link of that class: the folder itself, or of one with junk the parts without};
    flat: whether pictures lie in the folder itself.

    Raises: FaceError if links lead to a folder twice: by a link to a folder above it, ImageFolder would walk in circles
    and find the same pictures again and again. OSError if a folder cannot be read.
    """

    def __init__(self, folder):
        self.folder, self.classes, self.links, self.junk, self.flat = Path(folder), {}, {}, [], False
        seen = {os.path.realpath(folder): str(folder)}
        for inner in sorted(self.folder.iterdir()):
            if inner.is_dir() and is_junk(inner.name):
                self.junk.append(str(inner))
            elif inner.is_dir():
                self.classes[inner.name], self.links[inner.name] = self._walk(str(inner), seen)
            elif is_picture(inner.name) and not is_junk(inner.name):
                self.flat = True

    def _walk(self, folder, seen):
        real = os.path.realpath(folder)
        if real in seen:
            raise FaceError(f"{folder} and {seen[real]} are the same folder, so its pictures would count more than once: "
                            "remove one of the two links.")
        seen[real] = folder
        pictures, links, junk_before = 0, [], len(self.junk)
        with os.scandir(folder) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                is_folder = False
                with contextlib.suppress(OSError):  # a link to itself
                    is_folder = entry.is_dir()
                if is_junk(entry.name):
                    if is_folder or is_picture(entry.name):
                        self.junk.append(entry.path)
                elif is_folder:
                    inside, inner = self._walk(entry.path, seen)
                    pictures += inside
                    links += inner
                elif is_picture(entry.name):
                    pictures += 1
                    links.append(entry.path)
        return pictures, links if len(self.junk) > junk_before else [folder]


def clean_view(survey, name):
    """Make the folder .cache/faces/NAME of links to what `survey` found, without the junk, and return it (Path).

    It is made anew when what it must show has changed. Where links cannot be made, hard links of the pictures are.
    Raises: FaceError, which names the junk, where neither can be made.
    """
    view, paths = VIEWS / name, [path for kind in survey.classes for path in survey.links[kind]]
    for make in (_link, os.link):
        if make is os.link:  # of files only
            paths = [file for path in paths for file in (pictures_in(path) if os.path.isdir(path) else [path])]
        key = hashlib.blake2b("\0".join([make.__name__, *map(_state, paths)]).encode(errors="surrogateescape")).hexdigest()
        with contextlib.suppress(OSError):
            if (view / ".key").read_text() == key:
                return view
        with contextlib.suppress(OSError):
            _build(view, paths, make, survey.folder, key)
            return view
    raise FaceError(f"{survey.folder} holds what ImageFolder would take for faces ({listed(survey.junk, 3)}), and {view} "
                    "cannot be made, a folder of links without it: remove it from the folder.")


def _build(view, paths, make, root, key):
    """Make the links beside the view, then put them in its place."""
    beside = view.with_name(f"{view.name}.{secrets.token_hex(4)}.tmp")
    try:
        for path in paths:
            link = beside / os.path.relpath(path, root)
            link.parent.mkdir(parents=True, exist_ok=True)
            make(os.path.abspath(path), link)
        (beside / ".key").write_text(key)
        if view.exists():
            shutil.rmtree(view)  # it does not follow links
        os.rename(beside, view)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _link(target, link):
    os.symlink(target, link, target_is_directory=os.path.isdir(target))


def _state(path):
    """The path, and which file it names: a hard link keeps to a file that another has taken the place of."""
    return f"{path} {os.stat(path).st_ino if os.path.isfile(path) else 0}"
