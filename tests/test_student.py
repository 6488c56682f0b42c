"""The student edition under a learner's hands: unanswered from top to bottom, then answered one exercise after the other."""

import re
from pathlib import Path

import nbformat
import pictures
import pytest

pytest.importorskip("ipykernel")
from kernels import Kernel  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
WAITS = re.compile(r"This cell waits for the exercise ([\w ]+): write its answer in place of")
NARROW = ("_conv_dim = 64", "_conv_dim = 8"), ("batches=40", "batches=2")
PARTS = ("Expected:", "Got:", "Why it matters:", "Where to look:")


def code(notebook):
    """The code cells' sources, with narrow networks, which train faster."""
    sources = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    for old, new in NARROW:
        sources = [source.replace(old, new) for source in sources]
    return sources


@pytest.fixture(scope="module")
def editions():
    """The solved cells and the student's, side by side."""
    from nbgrader.preprocessors import ClearSolutions

    solved = nbformat.read(ROOT / "face_generation.ipynb", 4)
    cleared, _ = ClearSolutions(enforce_metadata=False).preprocess(nbformat.read(ROOT / "face_generation.ipynb", 4), {})
    return code(solved), code(cleared), cleared


def run(kernel, source):
    """Run a cell. Returns what it printed, and the lines of its error or None."""
    kernel.start(source)
    ran = kernel.finish()
    return ran.text, ran.error


def is_check(source):
    return re.match(r"tests\.test_\w+\(", source)


def test_a_student_s_cell_is_more_than_a_raise(editions):
    solved, student, notebook = editions
    for before, after in zip(solved, student, strict=True):
        if before != after:
            lines = after.splitlines()
            stub = next(i for i, line in enumerate(lines) if "YOUR CODE HERE" in line)
            assert re.match(r"\s*#|\w+ = \.\.\.", lines[stub - 1]), after  # a scaffold stands above it
    answers = [cell.source for cell in notebook.cells
               if cell.cell_type == "markdown" and cell.metadata.get("nbgrader", {}).get("solution")]
    assert len(answers) == 3 and all(answer == "YOUR ANSWER HERE" for answer in answers)


def test_exercise_by_exercise_no_cell_ends_in_a_traceback_that_is_not_about_the_learner_s_code(editions, tmp_path):
    solved, student, _ = editions
    kernel = Kernel(tmp_path, 1, pictures.fill(tmp_path / "faces", 400))
    try:
        # unanswered, from top to bottom: a check says that its exercise is not begun, others which one they wait for
        waiting = []
        for source in student:
            text, error = run(kernel, source)
            if error is not None:
                error = "\n".join(error)
                assert is_check(source), f"{source}\n{error}"
                assert all(part in error for part in PARTS) and "not begun" in error, error
            elif "This cell waits" in text:
                assert len(text.strip().splitlines()) == 1
                waiting.append(WAITS.search(text)[1])
        assert {"get_dataloader", "scale", "Discriminator", "Generator"} <= set(waiting) and len(waiting) > 20

        # answered one after the other: all cells up to the next exercise run
        exercises = [i for i, (a, b) in enumerate(zip(solved, student, strict=True)) if a != b]
        assert len(exercises) >= 9
        answered = list(student)
        for number, exercise in enumerate(exercises):
            answered[exercise] = solved[exercise]
            until = exercises[number + 1] if number + 1 < len(exercises) else len(solved)
            for source in answered[exercise:until]:
                text, error = run(kernel, source)
                beside = exercise + 1 in exercises and is_check(source) is None or exercise + 1 == until
                assert error is None and (beside or "This cell waits" not in text), f"{source}\n{text}\n{error}"
    finally:
        kernel.stop()
