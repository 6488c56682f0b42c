"""Reading a submitted notebook, and putting together the one that is judged.

The release is what learners are handed: the solved notebook without its solutions. The notebook that is judged has all cells
of the release in their order, with the learner's answers in the cells of the exercises, and the learner's own cells where
they stood. So a given cell or a check that was edited or deleted is put back, and numbers are the release's.
"""

import ast
import difflib
import json
import re
from dataclasses import dataclass, field, replace
from pathlib import Path

from common import FaceError

REFERENCE = Path(__file__).resolve().parent.parent / "face_generation.ipynb"
# The cells whose outputs are read by the judge, by the ids that they have in the solved notebook.
CURVES, FACES, NUMBERS, RUBRIC = "cell-076", "cell-079", "cell-098", "cell-103"

BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"
CODE_STUB, TEXT_STUB = ("# YOUR CODE HERE", "raise NotImplementedError()"), "YOUR ANSWER HERE"
MOST_BYTES, MOST_CELLS = 100_000_000, 2000
ALIKE = 0.5  # share of lines that a given cell without an id must have kept to be known again


@dataclass(frozen=True)
class Cell:
    """One cell, of the reference, of a submission or of the notebook that is judged.

    kind: "text" or "given" (as handed out), "answer", "check", "question", "own" (the learner's; of a submission all are).
    exercise: the id of the exercise or question that it belongs to, without "check_"; reference: the solved answer.
    """

    kind: str
    type: str  # "code" or "markdown"
    source: str
    id: str = ""
    grade_id: str = ""
    exercise: str = ""
    points: float = 0
    reference: str = ""
    metadata: dict = field(default_factory=dict)
    outputs: tuple = ()
    attachments: dict = field(default_factory=dict)


def scaffold(source, is_code=True):
    """What learners are handed of a solved cell: a stub in place of what stands between the markers, or of all of it."""
    if BEGIN not in source:
        return "\n".join(CODE_STUB) if is_code else TEXT_STUB
    kept, inside = [], False
    for line in source.split("\n"):
        if BEGIN in line:
            inside = True
            kept += [line[:len(line) - len(line.lstrip())] + stub for stub in CODE_STUB]
        elif END in line:
            inside = False
        elif not inside:
            kept.append(line)
    return "\n".join(kept)


# --- Reading ----------------------------------------------------------------------------------------------------------


def read(path):
    """The cells of a notebook file, as they stand: list of Cell of kind "own".

    Raises: FaceError, one line, if the file is no notebook, is larger than 100 MB or has more than 2,000 cells.
    """
    path = Path(path)
    try:
        if path.stat().st_size > MOST_BYTES:
            raise FaceError(f"{path.name} is larger than {MOST_BYTES // 1_000_000} MB: clear outputs and hand it in again.")
        cells = of_notebook(json.loads(path.read_bytes()))
    except OSError as error:
        raise FaceError(f"{path.name} cannot be read ({error.strerror}): hand it in again.") from None
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        raise FaceError(f"{path.name} is no notebook: hand in the .ipynb file that Jupyter saved.") from None
    if len(cells) > MOST_CELLS:
        raise FaceError(f"{path.name} has more than {MOST_CELLS:,} cells: remove those that are not yours.")
    return cells


def of_notebook(notebook):
    """The code and text cells of a notebook that was read already: list of Cell of kind "own"."""
    cells = [_cell(cell) for cell in notebook["cells"] if isinstance(cell, dict)]
    return [cell for cell in cells if cell.type in ("code", "markdown")]


def _cell(cell):
    """A cell of a notebook file, whatever may be odd in it."""
    source, metadata = cell.get("source", ""), cell.get("metadata")
    source = "".join(map(str, source)) if isinstance(source, list) else str(source)
    metadata = metadata if isinstance(metadata, dict) else {}
    nbgrader = metadata.get("nbgrader")
    grade_id = nbgrader.get("grade_id") if isinstance(nbgrader, dict) else ""
    outputs = cell.get("outputs") if isinstance(cell.get("outputs"), list) else []
    attachments = cell.get("attachments")
    return Cell("own", str(cell.get("cell_type")), source, str(cell.get("id", "")), str(grade_id or ""), metadata=metadata,
                outputs=tuple(output for output in outputs if isinstance(output, dict)),
                attachments=attachments if isinstance(attachments, dict) else {})


def read_reference(path=REFERENCE):
    """The cells of the release, answers as handed out and with their solution as `reference`. Raises FaceError as read()."""
    cells, waiting = [], []
    for cell in read(path):
        marks = cell.metadata.get("nbgrader", {})
        if marks.get("solution") and cell.type == "code":
            waiting.append(len(cells))
            cell = replace(cell, kind="answer", reference=cell.source, source=scaffold(cell.source))
        elif marks.get("grade") and cell.type == "code":
            cell = replace(cell, kind="check", exercise=cell.grade_id.removeprefix("check_"), points=marks["points"])
            for at in waiting:  # one check may judge two answers
                cells[at] = replace(cells[at], exercise=cell.exercise)
            waiting = []
        elif marks.get("solution"):
            cell = replace(cell, kind="question", exercise=cell.grade_id, points=marks["points"], reference=cell.source,
                           source=scaffold(cell.source, is_code=False))
        else:
            cell = replace(cell, kind="given" if cell.type == "code" else "text")
        cells.append(replace(cell, outputs=()))
    return cells


# --- Putting together -------------------------------------------------------------------------------------------------


def names_set(source):
    """The names that a cell sets at its outermost level, told by how lines begin, so that an unsound cell is read too."""
    names = set(re.findall(r"^(?:async[ \t]+def|def|class)[ \t]+(\w+)", source, re.M))
    for targets in re.findall(r"^(\w+(?:[ \t]*[,=][ \t]*\w+)*)[ \t]*(?::[^=\n]+)?=(?!=)", source, re.M):
        names |= set(re.split(r"[ \t]*[,=][ \t]*", targets))
    return names


def assemble(release, submitted):
    """The notebook that is judged: list of Cell, from read_reference() and read().

    An answer is found by its grade_id, else by its cell's id, else by the names that it sets. Copies of a cell all count,
    in their order, so that the last definition wins; copies that nobody wrote into do not. Given cells, checks and texts
    are the release's; their `outputs` are those that the learner's cell had.
    """
    places = _places(release, submitted)
    answers, taken = _answers(release, submitted, places)
    beside, texts, last = {}, {}, -1
    for index, cell in enumerate(submitted):
        if index in places:
            last = places[index]
        elif index in taken:
            continue
        elif cell.type == "markdown" and (question := _question_at(release, last)) is not None:
            texts.setdefault(question, []).append(cell.source)  # an answer in a cell of its own, or without its id
        else:
            beside.setdefault(last, []).append(replace(cell, grade_id="", metadata={}))
    found = {place: submitted[index] for index, place in places.items()}  # the last one counts
    cells = list(beside.get(-1, []))
    for place, cell in enumerate(release):
        if cell.kind == "answer":
            cell = replace(cell, source=answers[place])
        elif cell.kind == "question":
            written = [found[place].source] if place in found else []
            written = [text for text in written + texts.get(place, []) if text.strip() not in ("", TEXT_STUB)]
            pictures = found[place].attachments if place in found else {}
            cell = replace(cell, source="\n\n".join(written) or cell.source, attachments=pictures)
        elif place in found:
            cell = replace(cell, outputs=found[place].outputs)
        cells += [cell, *beside.get(place, [])]
    return cells


def _places(release, submitted):
    """{index of a submitted cell: index of the release's cell that it is}: by grade_id, id, source, then likeness."""
    places = {}

    def match(key, wanted=lambda cell: True):
        known = {(key(cell), cell.type): place for place, cell in enumerate(release) if wanted(cell) and key(cell)}
        for index, cell in enumerate(submitted):
            if index not in places and (key(cell), cell.type) in known:
                places[index] = known[key(cell), cell.type]

    match(lambda cell: cell.grade_id)
    match(lambda cell: cell.id)
    match(lambda cell: " ".join(cell.source.split()), lambda cell: cell.kind in ("given", "check", "text"))
    missing = [place for place in range(len(release)) if place not in places.values() and release[place].kind == "given"]
    for index, cell in enumerate(submitted):
        if index not in places and cell.type == "code" and len(cell.source) < 10_000:
            lines = cell.source.splitlines()
            alike = {place: difflib.SequenceMatcher(None, lines, release[place].source.splitlines()).ratio()
                     for place in missing}
            best = max(alike, key=alike.get, default=None)
            if best is not None and alike[best] >= ALIKE:
                places[index] = best
                missing.remove(best)
    return places


def _answers(release, submitted, places):
    """{place of an exercise's cell: the learner's source}, and the indices of the submitted cells that went into them."""
    free = [index for index, cell in enumerate(submitted) if cell.type == "code"
            and (index not in places or release[places[index]].kind == "answer")]
    answers, taken = {}, set()
    for place, cell in enumerate(release):
        if cell.kind != "answer":
            continue
        blank, wanted = cell.source.split(), names_set(cell.source)
        used = [index for index in free if places.get(index) == place and submitted[index].source.split() != blank]
        for index in reversed(free):  # the last definition first
            lacking = wanted - {name for at in used for name in names_set(submitted[at].source)}
            source = submitted[index].source
            if lacking & names_set(source) and not _is_handed_out(source, release):
                used.append(index)
        sources = [submitted[index].source for index in sorted(used)]
        sound = [source for source in sources if _parses(source)]
        answers[place] = "\n\n".join(sound or sources) or cell.source
        taken |= {index for index in used if index not in places}
    return answers, taken


def _is_handed_out(source, release):
    return any(source.split() == cell.source.split() for cell in release)


def _parses(source):
    """Is it Python, as far as ast can tell? A line of Jupyter's own (%, !) counts as sound."""
    try:
        ast.parse(re.sub(r"^\s*[%!].*$", "", source, flags=re.M))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def _question_at(release, place):
    """The question that a learner's text under this cell of the release answers, or None."""
    for at in (place, place + 1):
        if 0 <= at < len(release) and release[at].kind == "question":
            return at
    return None
