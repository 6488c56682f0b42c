"""Where the faces are, and where the results on them go."""

import hashlib
import os
from pathlib import Path

from common import FaceError, listed
from faces.draw import draw_faces, is_drawn, remove_drawn
from faces.view import VIEWS, Survey, clean_view

FACES = Path("processed_celeba_small")  # in the current folder
DRAWN = "drawn"
PREPARE = "python -m faces.prepare SOURCE"


def find_faces():
    """Say where the faces are, drawing them first if there are none, and print which ones will be used.

    In this order: the folder that the environment variable FACE_DATA names; photographs that somebody put into
    processed_celeba_small/; otherwise faces that this project draws there, the same ones every time. Hidden folders and
    the like are passed over: of a folder that holds some, a clean view is returned, a folder of links under .cache/.

    Returns: str, a folder for torchvision's ImageFolder: it holds folders, and they hold the pictures.
    Raises: FaceError if the folder cannot be used; its one line says what is wrong with it and what to do.
    """
    named = os.environ.get("FACE_DATA")
    folder = Path(named or FACES)
    try:
        if named:
            _check_named(folder)
        photographs = bool(named) or _draw_or_clear(folder)
        survey = Survey(folder)
    except OSError as error:
        raise FaceError(f"{folder} cannot be used ({error.strerror}: {error.filename or folder}): make it readable and, if "
                        "the faces are to be drawn there, writable with 50 MB free.") from None
    if not named and survey.classes.get(DRAWN) == 0:  # the drawn faces are gone, and something else lies there
        del survey.classes[DRAWN]
        survey.junk.append(str(folder / DRAWN))
    _check_contents(survey)
    where = "photographs from this folder" if photographs else "drawn by this project"
    print(f"{sum(survey.classes.values()):,} faces in {folder}/ ({listed(list(survey.classes))}): {where}.")
    if not survey.junk:
        return str(folder)
    print(f"Passed over: {listed(survey.junk)}.")
    return str(clean_view(survey, _results_name(folder)))


def _check_named(folder):
    """Refuse a folder that FACE_DATA names by mistake."""
    if not os.path.exists(folder):
        raise FaceError(f"FACE_DATA names {folder}, which does not exist: correct the path, or unset FACE_DATA.")
    if not os.path.isdir(folder):
        raise FaceError(f"FACE_DATA names {folder}, which is a file: name a folder, or make one of it with {PREPARE}")


def _draw_or_clear(folder):
    """Draw faces if the folder holds no photographs, else take the drawn ones away. Returns whether it holds some."""
    folder.mkdir(exist_ok=True)
    drawn = sum(map(is_drawn, (folder / DRAWN).glob("*.jpg")))
    if sum(Survey(folder).classes.values()) == drawn:
        draw_faces(folder / DRAWN)
        return False
    if (folder / DRAWN).is_dir():
        remove_drawn(folder / DRAWN)
    return True


def _check_contents(survey):
    """Refuse a folder that ImageFolder would refuse, in one line that says what to do."""
    folder = survey.folder
    if not sum(survey.classes.values()) and survey.flat:
        raise FaceError(f"{folder} holds its pictures directly: move them into a folder inside it, or run {PREPARE}")
    if not sum(survey.classes.values()):
        raise FaceError(f"{folder} holds no pictures: put a folder of faces into it, or name another with FACE_DATA.")
    for name, count in survey.classes.items():
        if not count:
            raise FaceError(f"{folder / name} holds no pictures, which ImageFolder refuses: remove that folder.")


def results_folder(data_dir):
    """Make and return (str) the folder for what a run on these faces leaves, another one for every folder of faces.

    results/drawn for the drawn faces, results/processed_celeba_small for photographs that lie there, and for any other
    folder results/NAME-xxxxxx: its name, and six digits that stand for where it lies. A clean view has its folder's own.
    """
    folder = Path("results") / _results_name(Path(data_dir))
    folder.mkdir(parents=True, exist_ok=True)
    return str(folder)


def _results_name(folder):
    folder = folder.resolve()
    if folder.parent == VIEWS.resolve():
        return folder.name
    if folder == FACES.resolve():
        return DRAWN if any(map(is_drawn, (FACES / DRAWN).glob("*.jpg"))) else FACES.name
    return f"{folder.name}-{hashlib.blake2b(os.fsencode(folder), digest_size=3).hexdigest()}"
