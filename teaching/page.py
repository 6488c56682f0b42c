"""The pages that mark.py writes: one for each learner, and one of the class.

All that comes from a submission (names, answers, the check's words, pictures, the rubric) is foreign: the templates, which
are the .html files beside this one, escape every text; of a picture only what Pillow reads as PNG is shown; of the rubric's
HTML only the words in its table are taken. And the pages forbid themselves all scripts and everything from outside.
"""

import base64
import collections
import io
import re
from pathlib import Path
from urllib.parse import quote

import jinja2
from bs4 import BeautifulSoup
from PIL import Image

from common import write_beside
from teaching import marks
from teaching.alike import near_copies

PARTS = ("Expected", "Got", "Why it matters", "Where to look")
VERDICTS = ("passed", "advice", "wrong", "stopped", "not begun")
MEASURES = ("sliced Wasserstein", "MS-SSIM", "memorised")
PIXELS, LARGEST = 10_000_000, 3_000_000  # of a picture; characters of a picture in base64, or of a rubric
LONGEST = 20_000  # characters of a text that are shown
MISTAKES, PAIRS = 20, 30  # that the class page shows


def cut(text):
    """The beginning of a text that is too long for a page."""
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}\n(and {len(text) - LONGEST:,} characters more)"


TEMPLATES = jinja2.Environment(loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True,
                               lstrip_blocks=True, undefined=jinja2.StrictUndefined)
TEMPLATES.filters |= {"page": lambda name: f"{quote(name)}.html", "short": lambda number: f"{round(number, 3):g}",
                      "cut": cut}


def write_pages(out, learners, rows, advice=1.0):
    """Write class.html and a page for each learner into the folder `out`.

    learners: list of {"name", "page": the file's name without .html, "result": what judge() gave or None, "reason"};
    rows: those of marks.csv, in the same order; advice: as marks.points() takes it.
    """
    views = [_view(*both, advice) for both in zip(learners, rows, strict=True)]
    for view in views:
        _write(out / f"{view['page']}.html", "learner.html", view)
    _write(out / "class.html", "class.html", class_view(views))


def _write(path, template, view):
    text = TEMPLATES.get_template(template).render(view, verdicts=VERDICTS, measures_shown=MEASURES)
    write_beside(path, lambda file: file.write(text.encode("utf-8", "replace")))  # lone surrogates become ?


def _view(learner, row, advice):
    """What a learner's page shows."""
    result = learner["result"] or {"stopped": None, "exercises": [], "questions": [], "cells_failed": [], "measures": {},
                                   "pictures": {}, "report": None, "seconds": 0, "altered": []}
    exercises = [each | {"given": marks.points(each, advice), "parts": four_parts(each["words"])}
                 for each in result["exercises"]]
    questions = [each | {"given": row[each["id"]], "answer": re.sub(r"(?<=\S)\n(?![\s\d*+>#|-]|```)", " ", each["answer"])}
                 for each in result["questions"]]  # a single line's end is none in Markdown
    return result | {
        "name": learner["name"], "page": learner["page"], "reason": learner["reason"], "sum": row["sum"], "advice": advice,
        "of": sum(each["max"] for each in exercises + questions), "exercises": exercises, "questions": questions,
        "open": sum(not each["given"] for each in questions), "rubric": rubric_rows(result["report"]),
        "faces": png(result["pictures"].get("faces")), "curves": png(result["pictures"].get("curves"))}


def four_parts(words):
    """What a check said, taken apart: list of (label, text), the label "" for what stands before the first part."""
    found = re.split(rf"^({'|'.join(PARTS)}): ", cut(words), flags=re.M)
    pairs = [("", found[0]), *zip(found[1::2], found[2::2], strict=True)]
    return [(label, re.sub(r"\n {4}(?! *line \d)", " ", text).strip()) for label, text in pairs if text.strip()]


def rubric_rows(report):
    """The rows of the rubric's table as text: list of (part, asked, verdict, note); [] if there is none."""
    if not report or len(report) > LARGEST:
        return []
    rows = ([cell.get_text() for cell in row.find_all("td")] for row in BeautifulSoup(report, "html.parser").find_all("tr"))
    return [tuple(row) for row in rows if len(row) == 4][:100]


def png(text, width=None):
    """A picture in base64 as a data: address, or None if it is no sound PNG; with `width`, as a JPEG no wider than that."""
    if not text or len(text) > LARGEST:
        return None
    try:
        with Image.open(io.BytesIO(base64.b64decode(text, validate=True)), formats=["PNG"]) as picture:
            if picture.width * picture.height > PIXELS:
                return None
            picture = picture.convert("RGB")
    except Exception:  # Pillow raises half a dozen kinds for what is broken
        return None
    if width is None:
        return f"data:image/png;base64,{text}"
    picture.thumbnail((width, width), Image.Resampling.BOX)
    small = io.BytesIO()
    picture.save(small, "JPEG", quality=85)
    return f"data:image/jpeg;base64,{base64.b64encode(small.getvalue()).decode()}"


def class_view(views):
    """What the class's page shows, from what the learners' pages show."""
    judged = [view for view in views if view["exercises"]]
    ids = list(dict.fromkeys(each["id"] for view in judged for each in view["exercises"]))
    of = {exercise: [each | {"name": view["name"], "page": view["page"]} for view in judged for each in view["exercises"]
                     if each["id"] == exercise] for exercise in ids}
    bars = [(exercise, [(verdict, count) for verdict in VERDICTS
                        if (count := sum(each["verdict"] == verdict for each in of[exercise]))]) for exercise in ids]
    bars.sort(key=lambda bar: -sum(count for verdict, count in bar[1] if verdict not in ("passed", "advice")))
    answers = {exercise: {each["page"]: each["answer"] for each in of[exercise] if each["verdict"] != "not begun"}
               for exercise in ids}
    pairs, left_out = near_copies(answers)
    names = {view["page"]: view["name"] for view in views}
    gallery = [{"name": view["name"], "page": view["page"], "measures": view["measures"].get("generated", {}),
                "faces": png(view["pictures"].get("faces"), 416)} for view in judged]
    return {"views": views, "judged": len(judged), "ids": ids, "bars": bars, "mistakes": mistakes(of)[:MISTAKES],
            "pairs": pairs[:PAIRS], "more_pairs": len(pairs[PAIRS:]), "left_out": left_out, "names": names,
            "gallery": gallery, "stopped": [view for view in views if view["stopped"] or view["reason"] or view["altered"]]}


def mistakes(of):
    """The checks' failures by what was expected and what came, commonest first.

    of: {exercise: list of {"name", "page", "verdict", "words"}}. Numbers count as alike, and so do the lines of the
    learners' own code. Returns: list of {"exercise", "sentences": list of (label, text), "who": the entries of `of`}.
    """
    groups = collections.defaultdict(list)
    for exercise, entries in of.items():
        for each in entries:
            if each["verdict"] in ("wrong", "stopped"):
                groups[exercise, _sentences(each["words"])].append(each)
    found = [{"exercise": exercise, "sentences": sentences, "who": who} for (exercise, sentences), who in groups.items()]
    return sorted(found, key=lambda group: -len(group["who"]))


def _sentences(words):
    """The first two parts of a failure, and what stands before them, with # for every number."""
    told = [(label, re.sub(r"\s*\bline \d+, in .*", "", text, flags=re.S)) for label, text in four_parts(words)
            if label not in PARTS[2:]]
    return tuple((label, " ".join(re.sub(r"-?\d+(\.\d+)?(e[-+]?\d+)?", "#", text).split())[:400]) for label, text in told)
