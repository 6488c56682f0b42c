"""Run one submission fairly, within limits, and say what each of its exercises is worth.

    judge("submissions/Ada.ipynb", "faces")      faces: a folder that holds folders with a few hundred pictures

Fair: an exercise that fails costs its own points and no others. As soon as its check has failed, the solution takes its
place and all goes on. A cell that hangs is interrupted. Where a submission ends its kernel or passes a limit, all is run
once more with the solution in place of the exercise at which it was, twice at most.

What gains a submission nothing: a check's cell that was edited, deleted or made to print "Tests Passed"; `tests` replaced,
its functions patched, problem_unittests.py overwritten (before each check the module is made anew from the genuine text);
an exit, of whatever kind; the solutions, which are not in the run's folder, and which Python in the kernel refuses to open
where they are. What is not held off: Python code in the same process can do anything, so it can patch torch, start
a program that reads the disk, or write to its parents' pipes. For strangers' work run this in a container that holds the
submission alone, as a user without rights. limits.py says what each limit does, and does not.
"""

import base64
import binascii
import contextlib
import filecmp
import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from teaching import cells
from teaching.kernel import PASSED
from teaching.limits import LOOK, MARK, Limits, Watch, end_all

ROOT = Path(__file__).resolve().parent.parent
RUNS = 3  # the first, and one more after each of two stops
NEEDED = ("problem_unittests.py", "helper.py", "common.py", "submission.py", "waiting.py", "faces", "training", "measures")
NEW_RUN = 15  # seconds that must be left for another run
SECRET = re.compile("TOKEN|SECRET|PASSW|_KEY|CREDENTIAL")  # in the names of variables that no submission needs


@dataclass
class Ran:
    """What came of a submission.

    verdicts: {exercise: (verdict, words)}; seconds: {exercise: float}; outputs: {index of a cell: its outputs};
    errors: {index of a cell: one line}; stopped: None or why it was stopped first; altered: the project's files that
    it changed in its folder; replaced: exercises whose solution was used.
    """

    verdicts: dict = field(default_factory=dict)
    seconds: dict = field(default_factory=dict)
    outputs: dict = field(default_factory=dict)
    errors: dict = field(default_factory=dict)
    stopped: str | None = None
    altered: list = field(default_factory=list)
    replaced: set = field(default_factory=set)


def judge(path, faces, limits=Limits(), reference=cells.REFERENCE):  # noqa: B008  frozen
    """Run the submission at `path` and judge it; `reference` is the solved notebook.

    Returns: dict of
        submission: the file's name; seconds: of all; stopped: None, or one line that says why it was stopped first;
        exercises: list of {id, points, max, verdict, words, seconds, answer, replaced}; the verdict is "passed", "advice",
            "wrong", "not begun" or "stopped", the words are the check's, replaced says whether the solution took over;
        questions: list of {id, max, answer}, for a person to mark;
        cells_failed: list of {cell, error}, given cells that failed all the same: their first line, one line of the error;
        measures, pictures {faces, curves}: what the learner's own run shows, numbers and base64 of PNG, {} and None without;
        report: the rubric as HTML, as it came out here, or None;
        altered: names of the project's files that the submission changed in its folder.
    Raises: FaceError, one line, if one of the two files is no notebook; nothing for what a submission does.
    """
    began, path = time.monotonic(), Path(path)
    submitted, release = cells.read(path), cells.read_reference(reference)
    assembled = cells.assemble(release, submitted)
    ran = execute(assembled, faces, limits, [ROOT, Path(reference).resolve().parent])
    exercises = []
    for check in (cell for cell in assembled if cell.kind == "check"):
        found, words = ran.verdicts[check.exercise]
        answer = [cell.source for cell in assembled if cell.kind == "answer" and cell.exercise == check.exercise]
        exercises.append({"id": check.exercise, "points": check.points if found in PASSED else 0, "max": check.points,
                          "verdict": found, "words": words, "seconds": ran.seconds.get(check.exercise, 0.0),
                          "answer": "\n\n\n".join(answer), "replaced": check.exercise in ran.replaced})
    report = next((output["data"]["text/html"] for index, cell in enumerate(assembled) if cell.id == cells.RUBRIC
                   for output in ran.outputs.get(index, []) if "text/html" in output.get("data", {})), None)
    return {
        "submission": path.stem, "seconds": time.monotonic() - began, "stopped": ran.stopped, "exercises": exercises,
        "questions": [{"id": cell.exercise, "max": cell.points, "answer": cell.source.removesuffix(cells.TEXT_STUB)}
                      for cell in assembled if cell.kind == "question"],
        "cells_failed": [{"cell": (assembled[index].source.splitlines() or [""])[0], "error": error}
                         for index, error in sorted(ran.errors.items()) if assembled[index].kind == "given"],
        "measures": measures(submitted),
        "pictures": {"faces": picture(assembled, cells.FACES, 1), "curves": picture(assembled, cells.CURVES, 0)},
        "report": "".join(report) if report else None, "altered": ran.altered,
    }


# --- What the submitted notebook shows already ------------------------------------------------------------------------


def measures(submitted):
    """What the submitted notebook measured: {"count": int, "real": {measure: float}, "generated": {...}}, or {}."""
    found, names = {}, ("sliced Wasserstein", "MS-SSIM", "memorised")
    for cell in submitted:
        texts = [output["text"] for output in cell.outputs if isinstance(output.get("text"), list | str)]
        text = "".join("".join(map(str, text)) for text in texts)
        count = re.search(r"^(\d{1,9}) faces each +sliced Wasserstein +MS-SSIM +memorised", text, re.M)
        rows = re.findall(r"^(real, others|generated) +([\d.]+|nan) +([\d.]+|nan) +([\d.]+|nan)$", text, re.M)
        if count and rows:
            with contextlib.suppress(ValueError):
                found = {"count": int(count[1])} | {name.split(",")[0]: dict(zip(names, map(float, numbers), strict=True))
                                                    for name, *numbers in rows}
    return found


def picture(assembled, cell_id, number):
    """A picture that the learner's run of a given cell showed, as base64 of a PNG, or None."""
    outputs = next((cell.outputs for cell in assembled if cell.id == cell_id and cell.kind == "given"), ())
    data = [output["data"] for output in outputs if isinstance(output.get("data"), dict)]
    pictures = [one["image/png"] for one in data if "image/png" in one]
    if number >= len(pictures):
        return None
    text = "".join("".join(map(str, pictures[number])).split())
    try:
        return text if base64.b64decode(text, validate=True).startswith(b"\x89PNG\r\n\x1a\n") else None
    except (binascii.Error, ValueError):
        return None


# --- Running ----------------------------------------------------------------------------------------------------------


def execute(assembled, faces, limits, hidden):
    """Run the cells of an assembled notebook, again after a stop as the head of this file says. Returns: Ran.

    hidden: folders under which nothing may be opened from the notebook, this run's own folder and Python's apart.
    """
    ran, until = Ran(), time.monotonic() + limits.whole
    dropped, hidden = set(), [str(Path(folder).resolve()) for folder in hidden]
    for _ in range(RUNS):
        at, stopped = _run_once(assembled, faces, limits, hidden, ran, dropped, until)
        ran.stopped = ran.stopped or stopped
        if stopped is None:
            break
        _set_aside(assembled, at, stopped, ran, dropped)
        if time.monotonic() > until - NEW_RUN:
            break
    for exercise in (cell.exercise for cell in assembled if cell.kind == "check"):
        ran.verdicts.setdefault(exercise, ("stopped", f"Not judged: the notebook was stopped ({stopped})."))
    return ran


def _set_aside(assembled, at, stopped, ran, dropped):
    """After a stop at the cell `at`: what must not run again."""
    if at is None:  # not even the kernel came up
        return
    cell = assembled[at]
    if cell.kind == "own":
        dropped.add(at)
    elif cell.kind in ("answer", "check"):
        if cell.exercise not in ran.verdicts:
            ran.verdicts[cell.exercise] = "stopped", f"The notebook was stopped here ({stopped})."
        ran.replaced.add(cell.exercise)
    else:  # what a given cell runs is the answer above it, which has its points already if its check passed
        ran.errors[at] = stopped
        above = [one.exercise for one in assembled[:at] if one.kind == "check" and one.exercise not in ran.replaced]
        if above:
            ran.replaced.add(above[-1])
        else:
            dropped.add(at)


def _run_once(assembled, faces, limits, hidden, ran, dropped, until):
    """Run the cells in a fresh folder by a process of its own. Returns: the index of the last cell begun, why it stopped."""
    token = f"{os.getpid()}-{secrets.token_hex(8)}"
    with tempfile.TemporaryDirectory(prefix="face-", ignore_cleanup_errors=True) as folder:
        folder = Path(os.path.realpath(folder))
        work = folder / "work"
        _fill(work, faces)
        code = [index for index, cell in enumerate(assembled) if cell.type == "code"]
        job = {"folder": str(work), "limits": asdict(limits), "hidden": hidden,
               "allowed": [str(folder), os.path.realpath(sys.prefix), os.path.realpath(sys.base_prefix)],
               "known": sorted(ran.verdicts), "replaced": sorted(ran.replaced), "dropped": [code.index(i) for i in dropped],
               "cells": [{key: getattr(assembled[i], key) for key in ("kind", "exercise", "source", "reference")}
                         for i in code]}
        said, stopped = _watched(job, folder, _environment(folder, work, hidden, token), token, limits, until)
        at = None
        for line in said:
            if "start" in line:
                at = code[line["start"]]
            elif "end" in line:
                _keep(ran, assembled, code[line["end"]], line)
            elif "exercise" in line:
                ran.verdicts[line["exercise"]] = line["verdict"], line["words"]
                if line["verdict"] not in PASSED:
                    ran.replaced.add(line["exercise"])
        ran.altered = sorted({*ran.altered, *_altered(work)})
        _unlock(folder)
    return at, stopped


def _keep(ran, assembled, index, line):
    """Keep what a cell showed and how long it took."""
    cell, ran.outputs[index] = assembled[index], line["outputs"]
    ran.errors.pop(index, None)
    if line["late"] or line["error"]:
        ran.errors[index] = line["late"] or _last_line(*line["error"])
    if cell.exercise:
        ran.seconds[cell.exercise] = ran.seconds.get(cell.exercise, 0.0) + line["seconds"]


def _last_line(name, message):
    return f"{name}: {(message.splitlines() or [''])[0]}"


def _watched(job, folder, environment, token, limits, until):
    """Start kernel.py, watch it, and end all of it. Returns: what it told (list of dict), and why it stopped or None."""
    with open(folder / "errors.txt", "wb") as errors:
        runner = subprocess.Popen([sys.executable, "-m", "teaching.kernel"], cwd=ROOT, env=environment, stderr=errors,
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
    said = []

    def listen():
        for line in runner.stdout:
            with contextlib.suppress(ValueError):  # half a line, of a process that was ended
                said.append(json.loads(line))

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    stopped, watch = None, Watch(runner.pid, folder, limits)
    try:
        with contextlib.suppress(OSError):
            runner.stdin.write(json.dumps(job).encode() + b"\n")
            runner.stdin.flush()
        while stopped is None and not (said and said[-1].keys() & {"finished", "stop"}) and listener.is_alive():
            stopped = watch.look()
            if time.monotonic() > until:
                stopped = f"time: more than {limits.whole:g} s in all"
            time.sleep(LOOK)
    finally:
        end_all(runner.pid, token)
        runner.kill()
        runner.wait()
        listener.join(5)
        for pipe in (runner.stdin, runner.stdout):
            with contextlib.suppress(OSError):
                pipe.close()
    if stopped is None and not (said and "finished" in said[-1]):
        last = (folder / "errors.txt").read_text(errors="replace").strip().splitlines()
        stopped = next((line["stop"] for line in said if "stop" in line),
                       f"the process that ran the notebook ended ({last[-1] if last else 'killed'})")
    return said, stopped


# --- The run's folder -------------------------------------------------------------------------------------------------


def _fill(work, faces):
    """Copy what the notebook needs into `work`; the project's files can be read only."""
    work.mkdir()
    for name in NEEDED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, work / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, work / name)
    for path in _copies(work):
        path.chmod(0o444)
    shutil.copytree(faces, work / "pictures", ignore=shutil.ignore_patterns(".*"))
    for name in ("tmp", "ipython", "runtime"):
        (work.parent / name).mkdir()


def _copies(work):
    return [path for name in NEEDED for path in ([work / name] if name.endswith(".py") else (work / name).glob("*.py"))]


def _altered(work):
    """Names of the project's files that are no longer as they were copied."""
    return [str(path.relative_to(work)) for path in (work / one.relative_to(ROOT) for one in _copies(ROOT))
            if not path.is_file() or not filecmp.cmp(path, ROOT / path.relative_to(work), shallow=False)]


def _environment(folder, work, hidden, token):
    """The caller's variables without secrets and without ways to the solutions, and the run's own."""
    kept = {name: value for name, value in os.environ.items() if not SECRET.search(name.upper())}
    path = [one for one in os.environ.get("PYTHONPATH", "").split(os.pathsep)
            if one and not any(Path(one).resolve().is_relative_to(place) for place in hidden)]
    temporary = dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(folder / "tmp"))
    return kept | temporary | {
        "FACE_DATA": str(work / "pictures"), "FACE_EPOCHS": "1", MARK: token, "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": os.pathsep.join(path), "IPYTHONDIR": str(folder / "ipython"),
        "JUPYTER_RUNTIME_DIR": str(folder / "runtime")}


def _unlock(folder):
    """Make folders writable again that a submission locked, so that all can be removed."""
    for inner, folders, _ in os.walk(folder):
        for name in folders:
            with contextlib.suppress(OSError):
                os.chmod(os.path.join(inner, name), 0o700)
