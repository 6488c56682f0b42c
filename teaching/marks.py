"""marks.csv: one row for each learner, written anew by every run, in which what the teacher wrote stays."""

import csv
import io
import math

from common import write_beside

FIRST, LAST = ["name"], ["sum", "stopped", "seconds"]


def points(exercise, advice=1.0):
    """The points that an exercise brings; a pass with advice keeps the share `advice` of them."""
    return exercise["points"] * (advice if exercise["verdict"] == "advice" else 1)


def as_number(text):
    """A mark that somebody wrote, 2.5 or 2,5, as a float; None where it is no number."""
    try:
        number = float(text.strip().replace(",", "."))
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def table(learners, earlier, advice=1.0):
    """The rows of marks.csv.

    learners: list of {"name", "result": what judge() gave or None, "reason": why there is none}; earlier: the rows that
    read() found, whose questions and further columns stay. Returns: the columns, and a list of dicts of text.
    """
    results = [learner["result"] for learner in learners if learner["result"]]
    exercises = list(dict.fromkeys(each["id"] for result in results for each in result["exercises"]))
    questions = list(dict.fromkeys(each["id"] for result in results for each in result["questions"]))
    ours = [*FIRST, *exercises, *questions, *LAST]
    columns = ours + [name for name in dict.fromkeys(name for row in earlier.values() for name in row) if name not in ours]
    rows = []
    for learner in learners:
        before, result = earlier.get(learner["name"], {}), learner["result"]
        row = {name: before.get(name, "") for name in columns if name not in ours or name in questions}
        row |= {"name": learner["name"], "stopped": learner["reason"] or "", "seconds": "", "sum": ""}
        if result:
            given = {each["id"]: points(each, advice) for each in result["exercises"]}
            by_hand = [as_number(row[question]) or 0 for question in questions]
            row |= {name: _short(value) for name, value in given.items()}
            row |= {"sum": _short(sum(given.values()) + sum(by_hand)), "stopped": result["stopped"] or "",
                    "seconds": f"{result['seconds']:.0f}"}
        rows.append({name: row.get(name, "") for name in columns})
    return columns, rows


def _short(number):
    return f"{round(number, 2):g}"


def read(path):
    """The rows of an earlier marks.csv, {name: {column: text}}, as this module or a spreadsheet wrote it; {} without one."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return {}
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("cp1252", "replace")  # what a spreadsheet on Windows may write
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text)))
    except csv.Error:  # no table: write() keeps the file
        return {}
    columns = [_bare(cell) for cell in rows[0]] if rows else []
    found = [dict(zip(columns, map(_bare, row), strict=False)) for row in rows[1:]]
    return {row["name"]: row for row in found if row.get("name")}


def write(path, columns, rows):
    """Write marks.csv, with the delimiter that the one before had; that one is kept as marks.before.csv if they differ."""
    before = path.read_bytes() if path.exists() else None
    delimiter = _delimiter((before or b"").decode("utf-8", "replace"))
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator="\r\n")
    writer.writerow(map(_harmless, columns))
    writer.writerows([_harmless(row[name]) for name in columns] for row in rows)
    data = text.getvalue().encode("utf-8-sig")  # the mark by which Excel knows UTF-8
    if before not in (None, data):
        write_beside(path.with_suffix(".before.csv"), lambda file: file.write(before))
    write_beside(path, lambda file: file.write(data))


def _delimiter(text):
    first = text.partition("\n")[0]
    return max(",;\t", key=first.count)


def _harmless(cell):
    """A cell that no spreadsheet takes for a formula; numbers stay numbers."""
    return f"'{cell}" if cell.startswith(("=", "+", "-", "@", "\t", "\r")) and as_number(cell) is None else cell


def _bare(cell):
    return cell[1:] if cell[:1] == "'" and cell[1:2] in tuple("=+-@\t\r") else cell
