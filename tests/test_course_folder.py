"""The nbgrader course: laid out, then nbgrader's own commands on it, for real."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import submissions as made

pytest.importorskip("nbgrader")
from nbgrader.api import Gradebook  # noqa: E402

from common import FaceError  # noqa: E402
from faces.draw import is_drawn  # noqa: E402
from teaching import cells, course, grader  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOK = "face_generation.ipynb"


def command(*words, folder, **variables):
    """Run one of nbgrader's commands as a teacher does. Returns what it said."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])  # nbgrader calls alembic by its name
    done = subprocess.run([sys.executable, "-m", *words], cwd=folder, env=os.environ | {"PATH": path} | variables,
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def sources(path):
    return [cell.source for cell in cells.read(path)]


@pytest.fixture(scope="module")
def laid_out(tmp_path_factory):
    """A course as it is laid out, with its release."""
    folder = tmp_path_factory.mktemp("class") / "course"
    assert "Go on in it" in command("teaching.course", str(folder), folder=ROOT)
    command("nbgrader", "generate_assignment", "faces", folder=folder)
    return folder


@pytest.fixture(scope="module")
def marked(laid_out):
    """The same with narrow networks, two submissions, and all of nbgrader's steps done."""
    made.write(made.solved(), laid_out / "source" / "faces" / NOTEBOOK)
    command("nbgrader", "generate_assignment", "faces", "--force", folder=laid_out)
    release = json.loads((laid_out / "release" / "faces" / NOTEBOOK).read_text(encoding="utf-8"))
    for cell in release["cells"]:
        cell["source"] = "".join(cell["source"])
    answers = {name: made.at(made.solved(), name)["source"] for name in made.ANSWERS}
    sound = made.answered(release, **answers, **{"question-1": "Noses."})
    weak = made.answered(sound, scale="def scale(x, feature_range=(-1, 1)):\n    return x",
                         check_scale="print('Tests Passed')",
                         losses=made.at(release, "losses")["source"],
                         optimizers=answers["optimizers"].replace("(0.1,", "(0.9,"),
                         mode_difference="import os\nos._exit(0)", **{"question-1": "YOUR ANSWER HERE"})
    weak["cells"].remove(made.at(weak, "check_losses"))
    for name, notebook in {"ada": made.bare(sound), "bob": weak}.items():
        (laid_out / "submitted" / name / "faces").mkdir(parents=True)
        made.write(notebook, laid_out / "submitted" / name / "faces" / NOTEBOOK)
    with open(laid_out / "nbgrader_config.py", "a") as file:
        file.write("c.Run.advice = 0.5\n")
    command("nbgrader", "autograde", "faces", folder=laid_out)
    command("nbgrader", "generate_feedback", "faces", folder=laid_out)
    return laid_out


def test_a_folder_that_holds_something_is_refused_in_one_line(tmp_path):
    (tmp_path / "file").touch()
    for folder in (tmp_path, tmp_path / "file"):
        with pytest.raises(FaceError, match="is not empty: name a folder that does not exist yet"):
            course.lay_out(folder)
        done = subprocess.run([sys.executable, "-m", "teaching.course", folder], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 1 and len(done.stderr.splitlines()) == 1


def test_the_release_has_the_cells_of_the_student_edition(laid_out, tmp_path):
    line = re.search(r"^\.venv/bin/jupyter (nbconvert face_generation\.ipynb .*)$",
                     (ROOT / "README.md").read_text(encoding="utf-8"), re.M)[1]
    command("jupyter", *shlex.split(line), "--output-dir", str(tmp_path), folder=ROOT)
    student = cells.read(tmp_path / "student.ipynb")
    released = cells.read(laid_out / "release" / "faces" / NOTEBOOK)
    assert [cell.source for cell in student] == [cell.source for cell in cells.read_reference()]
    assert [(cell.type, cell.grade_id) for cell in released] == [(cell.type, cell.grade_id) for cell in student]
    assert not any(cell.outputs for cell in released)


def test_a_learner_who_opens_the_release_has_all_that_it_needs(laid_out, tmp_path):
    handed_out = shutil.copytree(laid_out / "release" / "faces", tmp_path / "faces")
    drawn = list((handed_out / "processed_celeba_small" / "drawn").iterdir())
    assert len(drawn) == course.FACES and all(map(is_drawn, drawn))
    said = command("nbgrader", "validate", NOTEBOOK, folder=handed_out, FACE_EPOCHS="1",
                   FACE_DATA=str(handed_out / "processed_celeba_small"), PYTHONPATH="")
    assert "VALIDATION FAILED ON 12 CELL(S)" in said and said.count("not begun yet") == 9  # and three questions


def test_nothing_that_is_handed_out_holds_a_solution(laid_out):
    assert not list((laid_out / "release").rglob("further")) and not list((laid_out / "release").rglob("teaching"))
    assert not [path for path in (laid_out / "release").rglob("*.ipynb") if cells.BEGIN in path.read_text(encoding="utf-8")]


def test_nbgrader_s_gradebook_has_the_judge_s_points(marked):
    with Gradebook(f"sqlite:///{marked}/gradebook.db") as book:
        grades = {name: book.find_submission("faces", name).notebooks[0].grades for name in ("ada", "bob")}
        given = {name: {grade.name: grade.auto_score for grade in found} for name, found in grades.items()}
        by_hand = [grade.name for grade in grades["ada"] if grade.needs_manual_grade]
    most = {cell.grade_id: cell.points for cell in cells.read_reference() if cell.kind == "check"}
    unanswered = dict.fromkeys(("question-1", "question-2", "question-3"), 0)
    assert given["ada"] == most | unanswered | {"question-1": None}
    assert given["bob"] == most | unanswered | {
        "check_scale": 0, "check_losses": 0, "check_mode_difference": 0, "check_optimizers": 2}
    assert by_hand == ["question-1"]


def test_the_feedback_page_says_what_the_checks_said(marked):
    page = (marked / "feedback" / "bob" / "faces" / "face_generation.html").read_text(encoding="utf-8")
    for words in ("Why it matters: real faces and G", "Not begun", "Stopped", "with the solution in place of this answer",
                  "check_losses", "Advice: ", "Tests Passed"):
        assert words in page, words
    assert "print(&#39;Tests Passed" not in page


def test_a_rebuilt_notebook_is_rebuilt_into_itself(marked):
    """What autograde runs is lined up with what it wrote before, cell by cell."""
    release = cells.read_reference(marked / "source" / "faces" / NOTEBOOK)
    odd = made.after(made.after(made.solved(), "scale", "look = 1", "d_optimizer = 3"), "question-2", "look = 2")
    odd["cells"].insert(0, {"cell_type": "markdown", "source": "Mine.", "metadata": {}})
    odd["cells"] += [made.at(odd, "scale"), made.at(odd, "cell-018"), made.at(odd, "question-1")]
    for notebook in (odd, made.bare(odd)):
        once = cells.assemble(release, cells.of_notebook(notebook))
        assert {cell.source for cell in once if cell.kind == "own"} >= {"look = 1", "look = 2", "Mine."}
        again = cells.assemble(release, cells.of_notebook({"cells": [
            dict(grader._notebook_cell(cell, number)) for number, cell in enumerate(once)]}))
        assert [(cell.kind, cell.source) for cell in again] == [(cell.kind, cell.source) for cell in once]
