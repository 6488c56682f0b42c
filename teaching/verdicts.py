"""What a run of nbval says of each exercise, for CI: a table, or with an exercise's name whether its check passed.

    pytest --nbval-lax --junitxml=nbval.xml face_generation.ipynb
    python verdicts.py face_generation.ipynb nbval.xml          # a table in Markdown, and the rubric if it was reached
    python verdicts.py face_generation.ipynb nbval.xml scale    # ends with 0 if the check of `scale` passed, with 1 if not

This file alone is handed out, beside the notebook; it needs nothing but Python.
"""

import json
import sys
import xml.etree.ElementTree as xml
from pathlib import Path


def verdicts(notebook, junit):
    """The exercises as {name: (points, passed)}, from a notebook with nbgrader's metadata and nbval's JUnit file."""
    cells = json.loads(Path(notebook).read_text(encoding="utf-8"))["cells"]
    passed = {case.get("name"): not {"failure", "error", "skipped"} & {child.tag for child in case}
              for case in xml.parse(junit).iter("testcase")}
    found = {}
    for number, cell in enumerate(cell for cell in cells if cell["cell_type"] == "code"):
        about = cell["metadata"].get("nbgrader", {})
        if about.get("grade"):
            name = about["grade_id"].removeprefix("check_")
            found[name] = about["points"], passed.get(f"Cell {number}", False)
    return found


def table(found, reports):
    """The verdicts and the rubric reports (paths of report.json) as Markdown."""
    sure = sum(points for points, passed in found.values() if passed)
    lines = [f"## {sure} of {sum(points for points, _ in found.values())} points", "", "| exercise | points | check |",
             "|---|---|---|"]
    lines += [f"| {name} | {points} | {'passed' if passed else 'not passed'} |" for name, (points, passed) in found.items()]
    for path in reports:
        report = json.loads(path.read_text(encoding="utf-8"))
        lines += ["", f"## {report['summary']}", "", "| part | what is asked | verdict | note |", "|---|---|---|---|"]
        lines += ["| " + " | ".join(" ".join(line[key].replace("|", "/").split()) for key in
                                    ("part", "asked", "verdict", "note")) + " |" for line in report["lines"]]
    if not reports:
        lines += ["", "The rubric's cell was not reached yet: it needs all exercises."]
    return "\n".join(lines)


def main():
    try:
        found = verdicts(*sys.argv[1:3])
    except (OSError, ValueError, xml.ParseError, TypeError) as error:
        sys.exit(f"verdicts.py takes a notebook and the file that nbval wrote of it: {error}")
    if not sys.argv[3:]:
        print(table(found, sorted(Path(sys.argv[1]).resolve().parent.glob("results/*/report.json"))))
    elif sys.argv[3] not in found:
        sys.exit(f"There is no exercise {sys.argv[3]}; there are {', '.join(found)}.")
    else:
        sys.exit(not found[sys.argv[3]][1])


if __name__ == "__main__":
    main()
