"""Lay out an nbgrader course around the notebook.

    python -m teaching.course FOLDER

FOLDER then holds nbgrader_config.py and source/faces/: the solved notebook, and what learners need beside it. From there
nbgrader's own commands go on: generate_assignment, collect, autograde, generate_feedback; README.md has them in order.
"""

import argparse
import shutil
import sys
from pathlib import Path

from common import FaceError
from faces.draw import draw_faces
from teaching.run import NEEDED, ROOT

NOTEBOOK = "face_generation.ipynb"
FACES = 300  # drawn ones, enough to judge by; the notebook draws the others of its 8,000 when a learner opens it

CONFIG = '''"""nbgrader's settings for this course; written by python -m teaching.course."""

import sys

sys.path.append({project!r})  # where the face generation project lies: correct this line if it moves

from teaching.grader import PutBack, Run  # noqa: E402
from nbgrader.preprocessors import (  # noqa: E402
    AssignLatePenalties, CheckCellMetadata, ClearOutput, DeduplicateIds, LimitOutput, OverwriteCells, OverwriteKernelspec,
    SaveAutoGrades)

c = get_config()  # noqa: F821
c.CourseDirectory.course_id = {name!r}
c.CourseDirectory.root = {folder!r}
c.PutBack.course = c.Run.course = c.CourseDirectory.root

# Cells that were edited, deleted or copied are put back; each submission is run within limits, in a process of its own,
# and an exercise that fails costs no other its points.
c.Autograde.sanitize_preprocessors = [
    ClearOutput, PutBack, DeduplicateIds, OverwriteKernelspec, OverwriteCells, CheckCellMetadata]
c.Autograde.autograde_preprocessors = [Run, LimitOutput, SaveAutoGrades, AssignLatePenalties, CheckCellMetadata]

# The share of its points that an exercise keeps which passed with advice.
# c.Run.advice = 0.5

c.Execute.timeout = 600  # seconds for a cell when `nbgrader validate` runs a notebook: the training takes a few minutes
'''


def new(folder, fill):
    """Have fill(folder), of an absolute Path, fill a folder that is new or empty. Raises: FaceError, one line."""
    folder = Path(folder).resolve()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FaceError(f"{folder} is not empty: name a folder that does not exist yet.")
    try:
        fill(folder)
    except OSError as error:
        raise FaceError(f"{folder} cannot be filled ({error.strerror}: {error.filename}): make it writable, with 20 MB "
                        "free, and empty it.") from None


def hand_out(folder):
    """Fill a new folder with what learners need beside the notebook: checks, rooms, requirements, drawn faces."""
    folder.mkdir(parents=True)
    for name in ("requirements.txt", *NEEDED):
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, folder / name)
    pictures = folder / "processed_celeba_small"
    draw_faces(pictures / "drawn", FACES)
    shutil.copy(ROOT / "processed_celeba_small" / "README.md", pictures / "README.md")


def fill(folder):
    """Write the course: the solved notebook with what learners need beside it, and nbgrader's settings."""
    hand_out(folder / "source" / "faces")
    shutil.copy(ROOT / NOTEBOOK, folder / "source" / "faces" / NOTEBOOK)
    config = CONFIG.format(project=str(ROOT), name=folder.name, folder=str(folder))
    (folder / "nbgrader_config.py").write_text(config, encoding="utf-8")


def lay_out(folder):
    """Fill `folder`, which must be new or empty, with a course. Raises: FaceError in one line."""
    new(folder, fill)


def command(name, what, lay_out, then):
    """The command line of a module that lays out the folder it is given; `then` is how to go on in it."""
    parser = argparse.ArgumentParser(prog=f"python -m teaching.{name}", description=what)
    parser.add_argument("folder", type=Path)
    given = parser.parse_args()
    try:
        lay_out(given.folder)
    except FaceError as error:
        sys.exit(f"teaching.{name}: {error}")
    print(f"{given.folder} is laid out. Go on in it: {then}")


if __name__ == "__main__":
    command("course", "Lay out an nbgrader course.", lay_out, "nbgrader generate_assignment faces")
