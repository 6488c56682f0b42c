"""What a learner hands in: what is in the zip, what is cut out of it, and what is said when it cannot be whole."""

import json
import os
import zipfile
from pathlib import Path

import nbformat
import pytest
import torch

import problem_unittests as tests
import submission

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


def notebook(folder, name="student.ipynb"):
    """Write a notebook with a rubric cell, a picture of the data, one of generated faces, and paths in its outputs."""
    home = str(Path.home())
    cells = [nbformat.v4.new_code_cell("data", metadata={"tags": ["shows-data"]}), nbformat.v4.new_code_cell("generated"),
             nbformat.v4.new_code_cell(f"%env FACE_DATA={home}/secret\ntests.rubric_report(D=D)")]
    for cell in cells[:2]:
        cell.outputs = [nbformat.v4.new_output("display_data", {"image/png": PNG, "text/plain": f"<{folder}/x>"}),
                        nbformat.v4.new_output("stream", text=f"{home}/y and {folder}/z")]
    path = Path(folder) / name
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    return path


@pytest.fixture
def working(tmp_path, monkeypatch):
    """A working folder whose results hold an exported generator, and no word of Jupyter's on which notebook runs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "generator.pt2").write_bytes(b"a program")
    os.utime(tmp_path / "results" / "generator.pt2", (1e9, 1e9))
    return tmp_path


@pytest.fixture
def report():
    return tests.rubric_report(real_images=torch.rand(12, 3, 32, 32), fake_images=torch.rand(12, 3, 32, 32))


def packed(folder):
    with zipfile.ZipFile(folder / "results" / "submission.zip") as file:
        return {name: file.read(name).decode() for name in file.namelist()}


def test_the_zip_holds_the_notebook_its_page_and_the_report(working, report, capsys):
    notebook(working)
    submission.hand_in(report, "results")
    inside = packed(working)
    assert set(inside) == {"student.ipynb", "student.html", "report.html", "report.json"}
    assert json.loads(inside["report.json"])["lines"] and nbformat.reads(inside["student.ipynb"], 4).cells
    assert PNG in inside["student.html"] and PNG in inside["student.ipynb"]  # the pictures are whole
    assert (working / "results" / "report.html").is_file() and (working / "results" / "report.json").is_file()
    said = capsys.readouterr().out
    assert "submission.zip holds: report.html, report.json, student.ipynb, student.html." in said
    assert "as it was saved at" in said


def test_no_path_of_this_machine_is_in_it(working, report):
    path = notebook(working)
    assert str(Path.home()) in path.read_text() and str(working) in path.read_text()
    submission.hand_in(report, "results")
    for text in packed(working).values():
        assert f"{Path.home()}/" not in text and str(working) not in text
    assert "~/secret" in packed(working)["student.ipynb"]
    assert str(working) in path.read_text()  # the learner's own file stays as it is


def test_without_photographs_the_pictures_of_the_data_are_left_out(working, report):
    notebook(working)
    submission.hand_in(report, "results", photographs=False)
    inside = packed(working)
    data, generated, _ = nbformat.reads(inside["student.ipynb"], 4).cells
    assert [one.output_type for one in data.outputs] == ["stream"]
    assert [one.output_type for one in generated.outputs] == ["display_data", "stream"]
    assert inside["student.html"].count(PNG) == 1
    assert report._faces not in inside["report.html"] and report._generated in inside["report.html"]


def test_a_notebook_that_was_not_saved_since_the_training_is_asked_for(working, report, capsys):
    os.utime(notebook(working), (1e9 - 1, 1e9 - 1))
    submission.hand_in(report, "results")
    assert set(packed(working)) == {"report.html", "report.json"}
    assert "It lacks student.ipynb, which was not saved since its training: save the notebook" in capsys.readouterr().out


def test_without_a_generator_nothing_was_trained_since(working, report, capsys):
    notebook(working)
    (working / "results" / "generator.pt2").unlink()
    submission.hand_in(report, "results")
    assert set(packed(working)) == {"report.html", "report.json"} and "It lacks student.ipynb" in capsys.readouterr().out


@pytest.mark.parametrize("names", [[], ["one.ipynb", "two.ipynb"]])
def test_which_notebook_it_is_is_not_guessed(working, report, capsys, names):
    for name in names:
        notebook(working, name)
    submission.hand_in(report, "results")
    assert set(packed(working)) == {"report.html", "report.json"}
    assert "It lacks the notebook" in capsys.readouterr().out


def test_jupyter_s_word_on_which_notebook_runs_is_taken(working, report, monkeypatch):
    notebook(working, "one.ipynb")
    monkeypatch.setenv("JPY_SESSION_NAME", str(notebook(working, "two.ipynb")))
    submission.hand_in(report, "results")
    assert "two.ipynb" in packed(working)
    monkeypatch.setenv("JPY_SESSION_NAME", str(working / "console-1"))  # a console is no notebook
    assert submission.notebook_file() is None


def test_a_second_time_takes_the_first_one_s_place(working, report):
    submission.hand_in(report, "results")
    notebook(working)
    submission.hand_in(report, "results")
    assert len(packed(working)) == 4 and not list((working / "results").glob("*.tmp"))


def test_the_notebook_s_last_cell_hands_in_and_its_pictures_of_the_data_are_tagged():
    cells = nbformat.read(Path(submission.__file__).parent / "face_generation.ipynb", 4).cells
    last = [cell for cell in cells if cell.cell_type == "code"][-1]
    assert "helper.hand_in(report, results)" in last.source and last.source.endswith("\nreport")
    shows = [cell for cell in cells if cell.cell_type == "code" and cell.outputs
             and any(word in cell.source for word in ("some_faces(", "show_faces(real", "many[nearest]", "rubric_report("))]
    assert len(shows) == 5 and all("shows-data" in cell.metadata.tags for cell in shows)
