"""Lay out what Otter-Grader needs: a test file for each exercise, and the files that a notebook runs with.

    python -m teaching.otter FOLDER

README.md says which of Otter's commands go on from there. The tests are in Otter's exception-based form: a check that
raises is a test that fails, and Otter shows the check's words.
"""

from teaching.cells import read_reference
from teaching.course import command, hand_out, new

TEST = '''"""The exercise `{name}`; written by python -m teaching.otter."""

from otter.test_files import test_case

OK_FORMAT = False
name = {name!r}
points = {points}


@test_case()
def check(env):
    exec({source!r}, env)
'''


def fill(folder):
    """Write the files that learners need, their list, and a test for each exercise."""
    hand_out(folder)
    files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    (folder / "files.txt").write_text("\n".join(files) + "\n", encoding="utf-8")
    (folder / "tests").mkdir()
    for cell in read_reference():
        if cell.kind == "check":
            text = TEST.format(name=cell.exercise, points=cell.points, source=cell.source)
            (folder / "tests" / f"{cell.exercise}.py").write_text(text, encoding="utf-8")


def lay_out(folder):
    """Fill `folder`, which must be new or empty. Raises: FaceError in one line."""
    new(folder, fill)


if __name__ == "__main__":
    command("otter", "Lay out what Otter-Grader needs.", lay_out,
            "otter generate -t tests -r requirements.txt -o autograder.zip $(cat files.txt)")
