"""Lay out what Otter-Grader needs: a test file for each exercise, and the files that a notebook runs with.

    python -m teaching.otter FOLDER

README.md says which of Otter's commands go on from there. The tests are in Otter's exception-based form: a check that
raises is a test that fails, and Otter shows the check's words.
"""

import argparse
import sys
from pathlib import Path

from common import FaceError
from teaching.cells import read_reference
from teaching.course import empty, hand_out

TEST = '''"""The exercise `{name}`; written by python -m teaching.otter."""

from otter.test_files import test_case

OK_FORMAT = False
name = {name!r}
points = {points}


@test_case()
def check(env):
    exec({source!r}, env)
'''


def lay_out(folder):
    """Fill `folder`, which must be new or empty. Raises: FaceError in one line."""
    folder = empty(folder)
    try:
        hand_out(folder)
        files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
        (folder / "files.txt").write_text("\n".join(files) + "\n", encoding="utf-8")
        (folder / "tests").mkdir()
        for cell in read_reference():
            if cell.kind == "check":
                text = TEST.format(name=cell.exercise, points=cell.points, source=cell.source)
                (folder / "tests" / f"{cell.exercise}.py").write_text(text, encoding="utf-8")
    except OSError as error:
        raise FaceError(f"{folder} cannot be filled ({error.strerror}: {error.filename}): make it writable.") from None


def main():
    parser = argparse.ArgumentParser(prog="python -m teaching.otter", description="Lay out what Otter-Grader needs.")
    parser.add_argument("folder", type=Path)
    given = parser.parse_args()
    try:
        lay_out(given.folder)
    except FaceError as error:
        sys.exit(f"{error}")
    print(f"{given.folder} is laid out. Go on in it: otter generate -t tests -r requirements.txt -o autograder.zip "
          "$(cat files.txt)")


if __name__ == "__main__":
    main()
