"""Reading what learners hand in, and putting together the notebook that is judged; nothing is run here."""

import zipfile

import nbformat
import pictures
import pytest
import submissions as made

from common import FaceError
from teaching import cells
from teaching.run import measures, picture

SOLVED = made.solved(narrow=False)
RELEASE = cells.read_reference()


def assembled(notebook, folder):
    return cells.assemble(RELEASE, cells.read(made.write(notebook, folder / "one.ipynb")))


def answer(cells_, name):
    return next(cell.source for cell in cells_ if name in (cell.grade_id, cell.id))


def own(cells_):
    """[(the release's cell above, the source of a cell of the learner's)]."""
    found, above = [], None
    for cell in cells_:
        if cell.kind == "own":
            found.append((above, cell.source))
        else:
            above = cell.id
    return found


def without(notebook, *names):
    kept = [cell for cell in notebook["cells"] if not {cell.get("id"), made.grade_id(cell)} & set(names)]
    return notebook | {"cells": kept}


# --- The release ------------------------------------------------------------------------------------------------------


def test_exercises_and_points():
    checks = {cell.exercise: cell.points for cell in RELEASE if cell.kind == "check"}
    questions = {cell.exercise: cell.points for cell in RELEASE if cell.kind == "question"}
    assert len(checks) == 9 and len(questions) == 3 and sum(checks.values()) + sum(questions.values()) == 50
    answers = [cell.exercise for cell in RELEASE if cell.kind == "answer"]
    assert set(answers) == set(checks) and answers.count("training_steps") == 2


def test_the_cells_that_the_judge_reads_are_where_it_looks():
    wanted = {cells.CURVES: "d_loss", cells.FACES: '"generated"', cells.NUMBERS: "sliced Wasserstein",
              cells.RUBRIC: "tests.rubric_report("}
    for cell_id, words in wanted.items():
        assert words in answer(RELEASE, cell_id)


def test_a_scaffold_is_what_nbgrader_hands_out():
    preprocessors = pytest.importorskip("nbgrader.preprocessors")
    notebook = nbformat.read(cells.REFERENCE, 4)
    handed_out, _ = preprocessors.ClearSolutions(enforce_metadata=False).preprocess(notebook, {})
    assert [cell.source for cell in RELEASE] == [cell.source for cell in handed_out.cells]


# --- Files ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [
    b"", b"{", b"not JSON", b"[]", b"3", b"null", b'{"cells": 3}', b'{"cells": null}', b'{"worksheets": 3}', b"\xff\xfe\x00",
    b"[" * 100_000, b"\x89PNG\r\n\x1a\n", b'{"nbformat": 4}', b'{"worksheets": [{"cells": [3]}], "nbformat": 3}'])
def test_what_is_no_notebook_is_refused_in_one_line(data, tmp_path):
    path = tmp_path / "Ada.ipynb"
    path.write_bytes(data)
    with pytest.raises(FaceError, match="^Ada.ipynb is no notebook: hand in"):
        cells.read(path)


def test_a_zip_a_folder_and_nothing_are_refused_in_one_line(tmp_path):
    with zipfile.ZipFile(tmp_path / "zip.ipynb", "w") as file:
        file.writestr("a", "b")
    (tmp_path / "folder.ipynb").mkdir()
    pictures.picture(1).save(tmp_path / "picture.ipynb", "PNG")
    for name in ("zip", "folder", "picture", "nothing"):
        with pytest.raises(FaceError, match=rf"^{name}\.ipynb (is no notebook|cannot be read).*\.$"):
            cells.read(tmp_path / f"{name}.ipynb")


def test_a_huge_file_and_thousands_of_cells_are_refused(tmp_path, monkeypatch):
    many = {"cells": [made.code("1")] * 2001}
    with pytest.raises(FaceError, match="more than 2,000 cells"):
        cells.read(made.write(many, tmp_path / "one.ipynb"))
    monkeypatch.setattr(cells, "MOST_BYTES", 1_000_000)
    with pytest.raises(FaceError, match="larger than 1 MB"):
        cells.read(made.write(SOLVED, tmp_path / "one.ipynb"))


def test_odd_cells_are_taken_as_far_as_they_go(tmp_path):
    odd = [3, None, {}, {"cell_type": "code"}, {"cell_type": "code", "source": None},
           {"cell_type": "code", "source": [1, "a"]}, {"cell_type": "raw", "source": "r"},
           {"cell_type": "markdown", "source": "m", "metadata": 3},
           {"cell_type": "code", "source": "x", "metadata": {"nbgrader": 3}, "outputs": {"a": 1}, "attachments": 3},
           {"cell_type": "code", "source": "y", "metadata": {"nbgrader": {"grade_id": ["list"]}},
            "outputs": [3, {"text": 5}]}]
    found = cells.read(made.write({"cells": odd}, tmp_path / "one.ipynb"))
    assert [cell.source for cell in found] == ["", "None", "1a", "m", "x", "y"]
    judged = cells.assemble(RELEASE, found)
    assert [cell.source for cell in judged if cell.kind == "answer"] == [c.source for c in RELEASE if c.kind == "answer"]
    assert measures(found) == {} and picture(judged, cells.FACES, 1) is None


# --- Putting together -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("notebook", [SOLVED, made.bare(SOLVED)], ids=["as it is", "bare"])
def test_the_solved_notebook_becomes_itself(notebook, tmp_path):
    found = assembled(notebook, tmp_path)
    assert [cell.source for cell in found] == [cell.reference or cell.source for cell in RELEASE]
    assert measures(found)["real"]["MS-SSIM"] < 1 and measures(found)["generated"].keys() == {
        "sliced Wasserstein", "MS-SSIM", "memorised"}
    assert picture(found, cells.FACES, 1) and picture(found, cells.CURVES, 0)
    assert picture(found, cells.FACES, 2) is None


@pytest.mark.parametrize("change", [lambda notebook: notebook, made.bare], ids=["with ids", "bare"])
def test_given_cells_and_checks_are_put_back(change, tmp_path):
    changed = made.answered(SOLVED, check_scale="print('Tests Passed')", **{
        "cell-047": made.at(SOLVED, "cell-047")["source"].replace("128", "3"), "cell-000": "# Mine"})
    changed = change(without(changed, "check_losses", "cell-001", "cell-020", "losses"))
    found = assembled(changed, tmp_path)
    given = [cell.source for cell in RELEASE if cell.kind in ("given", "check", "text")]
    assert [cell.source for cell in found if cell.kind in ("given", "check", "text")] == given
    assert answer(found, "losses") == answer(RELEASE, "losses") and "NotImplementedError" in answer(found, "losses")
    assert "z_size = 3" not in "".join(cell.source for cell in found)


def test_own_cells_stay_where_they_stood(tmp_path):
    changed = made.after(made.after(SOLVED, "scale", "look = 1", "look = 2"), "cell-079", "look = 3")
    changed["cells"].insert(0, made.code("look = 0"))
    assert own(assembled(changed, tmp_path)) == [
        (None, "look = 0"), ("cell-016", "look = 1"), ("cell-016", "look = 2"), ("cell-079", "look = 3")]


def test_of_copies_the_last_definition_wins_and_blank_copies_do_not(tmp_path):
    blank = cells.scaffold(made.at(SOLVED, "scale")["source"])
    first, second = (f"def scale(x, feature_range=(-1, 1)):\n    return {number}" for number in (1, 2))
    marks = {"metadata": made.at(SOLVED, "scale")["metadata"]}
    changed = made.answered(SOLVED, scale=first)
    place = changed["cells"].index(made.at(changed, "scale"))
    changed["cells"][place + 1:place + 1] = [made.code(second, **marks), made.code(blank, **marks)]
    assert answer(assembled(changed, tmp_path), "scale") == f"{first}\n\n{second}"


def test_a_draft_that_does_not_parse_is_left_out_where_another_does(tmp_path):
    sound, draft = made.at(SOLVED, "scale")["source"], "def scale(x:\n    ???"
    changed = made.answered(SOLVED, scale=draft)
    changed["cells"].insert(changed["cells"].index(made.at(changed, "check_scale")),
                            made.code(sound, metadata=made.at(SOLVED, "scale")["metadata"]))
    assert answer(assembled(changed, tmp_path), "scale") == sound
    assert answer(assembled(made.answered(SOLVED, scale=draft), tmp_path), "scale") == draft


def test_an_answer_in_a_cell_of_its_own_is_found_by_its_names(tmp_path):
    split = made.at(SOLVED, "losses")["source"].split("\n\n\n")
    changed = made.after(made.unanswered(SOLVED, "scale"), "scale", "def scale(x, feature_range):\n    return 5")
    changed = made.after(made.answered(changed, losses=split[0]), "losses", split[1])
    found = assembled(changed, tmp_path)
    assert answer(found, "scale").endswith("return 5")
    assert answer(found, "losses") == "\n\n".join(split)
    assert own(found) == []


def test_two_exercises_in_one_cell_are_both_answered(tmp_path):
    both = "\n\n\n".join(made.at(SOLVED, name)["source"] for name in ("discriminator_step", "generator_step"))
    found = assembled(without(made.answered(SOLVED, discriminator_step=both), "generator_step"), tmp_path)
    assert answer(found, "discriminator_step") == answer(found, "generator_step") == both


def test_written_answers_are_found_with_and_without_their_marks(tmp_path):
    changed = made.answered(SOLVED, **{"question-1": "They have noses.", "question-2": "YOUR ANSWER HERE"})
    place = changed["cells"].index(made.at(changed, "question-2")) + 1
    changed["cells"].insert(place, {"cell_type": "markdown", "source": "More data.", "metadata": {}})
    for notebook in (changed, made.bare(changed)):
        found = assembled(notebook, tmp_path)
        assert answer(found, "question-1") == "They have noses." and answer(found, "question-2") == "More data."
    untouched = made.answered(SOLVED, **{"question-3": "YOUR ANSWER HERE"})
    assert answer(assembled(made.bare(untouched), tmp_path), "question-3") == "YOUR ANSWER HERE"


@pytest.mark.parametrize("source, names", [
    ("def a():\n    b = 1", {"a"}), ("class A(B):\n    x = 1", {"A"}),
    ("a = b = c = 1\nd, e = 1, 2", {"a", "b", "c", "d", "e"}), ("a == 1\na.b = 2\na[0] = 1\nf(x=1)", set()),
    ("async def a(): pass\nb: int = 2", {"a", "b"}), ("def a(:\nx = (", {"a", "x"})])
def test_names_that_a_cell_sets(source, names):
    assert cells.names_set(source) == names
