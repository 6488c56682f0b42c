"""Judging whole submissions: each is executed for real, and must get the points that the table says.

The table was written before the first of them was run. Networks are narrow, faces few.
"""

import os
from typing import NamedTuple

import psutil
import pytest

pytest.importorskip("ipykernel")
import submissions as made  # noqa: E402

from faces.draw import draw_faces  # noqa: E402
from teaching import run  # noqa: E402
from teaching.limits import MARK, Limits  # noqa: E402
from teaching.run import judge  # noqa: E402

POINTS = {"get_dataloader": 4, "scale": 2, "discriminator": 6, "generator": 6, "weights_init_normal": 4, "losses": 5,
          "optimizers": 4, "training_steps": 8, "mode_difference": 2}
PATIENT = Limits(whole=900, cell=120, given=300)  # for a machine that is busy with other tests
SMALL = Limits(whole=600, cell=12, given=200, memory=3 << 29, processes=12, disk=20 << 20)
SOLVED = made.solved()


class Wanted(NamedTuple):
    """What a submission must get. lost: {exercise: its verdict} of those that get no points; words: in their words."""

    lost: dict
    words: str = ""


NONE = dict.fromkeys(POINTS, "not begun")
WANTED = {
    "sound": Wanted({}),
    "three exercises missing": Wanted(dict.fromkeys(("scale", "weights_init_normal", "mode_difference"), "not begun")),
    "a fault in the steps": Wanted({"training_steps": "wrong"}, "Why it matters"),
    "nothing answered": Wanted(NONE),
    "tampers with the checks": Wanted(dict.fromkeys(("scale", "losses", "mode_difference"), "wrong")),
    "reads the solutions": Wanted({"scale": "wrong", "discriminator": "wrong"}, "PermissionError"),
}


# --- The submissions --------------------------------------------------------------------------------------------------

WRONG_STEPS = '''
def discriminator_step(D, G, real_images, d_optimizer, fake_images=None):
    if fake_images is None:
        fake_images = G(random_z(len(real_images), G.z_size, real_images.device))
    d_optimizer.zero_grad()
    loss = real_loss(D(real_images)) + fake_loss(D(fake_images))
    loss.backward()
    d_optimizer.step()
    return loss.detach()
'''
WRONG_SCALE = "def scale(x, feature_range=(-1, 1)):\n    return x"
WRONG_LOSSES = "def real_loss(D_out):\n    return D_out.mean()\n\ndef fake_loss(D_out):\n    return D_out.mean()"
OVERWRITE = '''
import os, sys, types
from pathlib import Path
fake = "def __getattr__(name):\\n    return lambda *a, **k: print('Tests Passed')\\n"
os.chmod("problem_unittests.py", 0o600)
Path("problem_unittests.py").write_text(fake)
Path("problem_unittests").mkdir()
Path("problem_unittests/__init__.py").write_text(fake)
sys.modules["problem_unittests"] = tests = types.SimpleNamespace(test_losses=lambda *a: print("Tests Passed"))
'''
REWRITE_CELLS = '''
import ast
class Rewrite(ast.NodeTransformer):
    def visit(self, cell):
        return ast.parse("print('Tests Passed')") if "test_" in ast.unparse(cell) else cell
get_ipython().ast_transformers.append(Rewrite())
rewrite = lambda lines: ["print('Tests Passed')\\n"] if "test_" in "".join(lines) else lines
get_ipython().input_transformers_post.append(rewrite)
def swap(*_):
    global tests
    tests.test_losses = tests.test_mode_difference = lambda *_: print("Tests Passed")
get_ipython().events.register("pre_run_cell", swap)
get_ipython().showtraceback = lambda *_, **__: None
'''
EXIT = '''
def mode_difference(G, z, one, other, training):
    print("Tests Passed")
    raise SystemExit(0)
'''
STEAL = '''
import json, os
from pathlib import Path
def stolen(name, path={path!r}):
    {way}
    return next("".join(cell["source"]) for cell in notebook["cells"]
                if cell["metadata"].get("nbgrader", {{}}).get("grade_id") == name)
exec(stolen({name!r}))
'''


def tampering():
    notebook = made.answered(SOLVED, scale=WRONG_SCALE, losses=WRONG_LOSSES, mode_difference=EXIT,
                             check_scale="print('Tests Passed')")
    notebook = made.after(notebook, "scale", "tests.test_scale = lambda *_: print('Tests Passed')", REWRITE_CELLS)
    return made.after(notebook, "losses", OVERWRITE)


def stealing():
    solutions = str(made.ROOT / "face_generation.ipynb")
    return made.answered(
        SOLVED,
        scale=STEAL.format(name="scale", path=solutions, way="notebook = json.loads(Path(path).read_text())"),
        discriminator=STEAL.format(name="discriminator", path=solutions, way=(
            "os.symlink(path, 'mine.ipynb'); notebook = json.load(open('mine.ipynb'))")))


SUBMISSIONS = {
    "sound": lambda: SOLVED,
    "three exercises missing": lambda: made.unanswered(SOLVED, "scale", "weights_init_normal", "mode_difference"),
    "a fault in the steps": lambda: made.answered(SOLVED, discriminator_step=WRONG_STEPS),
    "nothing answered": lambda: made.unanswered(SOLVED, *made.ANSWERS),
    "tampers with the checks": tampering,
    "reads the solutions": stealing,
}


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    folder = tmp_path_factory.mktemp("faces")
    draw_faces(folder / "drawn", 300)
    return folder


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    return made.write(SOLVED, tmp_path_factory.mktemp("reference") / "face_generation.ipynb")


@pytest.fixture(scope="module")
def short(tmp_path_factory):
    """A reference that ends after two exercises, for what has nothing to do with the rest."""
    notebook = SOLVED | {"cells": SOLVED["cells"][:SOLVED["cells"].index(made.at(SOLVED, "cell-018")) + 1]}
    return made.write(notebook, tmp_path_factory.mktemp("short") / "face_generation.ipynb")


def verdicts(judged):
    return {exercise["id"]: exercise["verdict"] for exercise in judged["exercises"]}


def points(judged):
    return {exercise["id"]: exercise["points"] for exercise in judged["exercises"]}


def nothing_left():
    """Is no process of a run alive that this process started?"""
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK, "").startswith(f"{os.getpid()}-") and process.status() != psutil.STATUS_ZOMBIE:
                return False
        except (psutil.Error, OSError):
            pass
    return True


@pytest.mark.parametrize("name", WANTED)
def test_each_submission_gets_what_was_written_down(name, faces, reference, tmp_path):
    judged = judge(made.write(SUBMISSIONS[name](), tmp_path / "one.ipynb"), faces, PATIENT, reference)
    wanted = WANTED[name]
    assert verdicts(judged) == {exercise: wanted.lost.get(exercise, "passed") for exercise in POINTS}
    assert points(judged) == {exercise: 0 if exercise in wanted.lost else most for exercise, most in POINTS.items()}
    assert {one["id"] for one in judged["exercises"] if one["replaced"]} == wanted.lost.keys()
    assert all(wanted.words in one["words"] for one in judged["exercises"] if one["id"] in wanted.lost)
    assert judged["cells_failed"] == [] and judged["stopped"] is None
    assert "<table" in judged["report"]
    assert judged["altered"] == (["problem_unittests.py"] if "tampers" in name else [])
    assert nothing_left()


# --- What a run costs, and its end ------------------------------------------------------------------------------------

FLOOD = "while True:\n    print('x' * 1000)"
DISPLAYS = "while True:\n    display({'text/plain': 'x' * 100_000}, raw=True)"
DEAF = '''
while True:
    try:
        while True:
            pass
    except BaseException:
        pass
'''
MEMORY = "kept = []\nwhile True:\n    kept.append(bytearray(b'x' * 20_000_000))"
FORKS = "import os\nwhile True:\n    os.fork()"
DETACHED = '''
import subprocess, sys, time
bomb = "import os,time\\nif os.fork(): os._exit(0)\\nos.setsid()\\nif os.fork(): os._exit(0)\\ntime.sleep(1000)"
while True:
    subprocess.run([sys.executable, "-c", bomb])
'''
DISK = '''
number = 0
while True:
    with open(f"{number}.bin", "wb") as file:
        file.write(b"x" * 10_000_000)
    number += 1
'''
FILES = "number = 0\nwhile True:\n    open(f'{number}.txt', 'w').close()\n    number += 1"


def in_scale(body):
    return "def scale(x, feature_range=(-1, 1)):\n    " + body.strip().replace("\n", "\n    ")


def short_of(notebook):
    """The part of a submission that the short reference has."""
    return notebook | {"cells": notebook["cells"][:notebook["cells"].index(made.at(notebook, "cell-018")) + 1]}


@pytest.mark.parametrize("answer, line", [
    (in_scale("while True:\n    pass"), None),  # interrupted: nothing need be run again
    ("while True:\n    pass", None),
    (FLOOD, None),
    (DISPLAYS, None),
    (in_scale(DEAF), "time: more than 12 s in one cell, and it could not be interrupted"),
    (MEMORY, "memory: more than 1.5 GB"),
    (in_scale(FORKS), "processes: more than 12"),
    (DETACHED, "processes: more than 12"),
    (in_scale(DISK), "disk: more than 20 MB"),
    (FILES, "disk: more than 20 MB"),
    (in_scale("import os\nos._exit(0)"), "the kernel ended"),
    ("import os, signal\nos.kill(os.getppid(), signal.SIGKILL)", "the process that ran the notebook ended (killed)"),
    ("exit()\nimport time\ntime.sleep(10)", "the kernel ended"),
], ids=["never ends", "never ends, in its cell", "prints", "shows", "cannot be interrupted", "memory", "forks",
        "leaves processes", "disk", "empty files", "_exit", "kills its parent", "exit()"])
def test_an_answer_that_takes_too_much_loses_its_own_points_only(answer, line, faces, short, tmp_path):
    submission = made.write(short_of(made.answered(SOLVED, scale=answer)), tmp_path / "one.ipynb")
    judged = judge(submission, faces, SMALL, short)
    assert verdicts(judged) == {"get_dataloader": "passed", "scale": "stopped"}
    assert judged["stopped"] == line and judged["cells_failed"] == []
    assert nothing_left()


def test_what_ends_the_kernel_in_a_given_cell_is_replaced_and_keeps_its_points(faces, short, tmp_path):
    ends = "    import os\n    if data_dir == os.environ['FACE_DATA']:\n        os._exit(0)\n"
    answer = made.at(SOLVED, "get_dataloader")["source"].replace("    # both sides", f"{ends}    # both sides")
    submission = made.write(short_of(made.answered(SOLVED, get_dataloader=answer)), tmp_path / "one.ipynb")
    judged = judge(submission, faces, SMALL, short)
    assert verdicts(judged) == {"get_dataloader": "passed", "scale": "passed"}
    assert [exercise["replaced"] for exercise in judged["exercises"]] == [True, False]
    assert judged["stopped"] == "the kernel ended" and judged["cells_failed"] == []


def test_a_cell_of_the_learner_s_own_costs_no_points(faces, short, tmp_path):
    own = made.after(made.after(SOLVED, "get_dataloader", "import os\nos._exit(0)"), "cell-012", "1 / 0", "def scale(:")
    judged = judge(made.write(short_of(own), tmp_path / "one.ipynb"), faces, SMALL, short)
    assert verdicts(judged) == {"get_dataloader": "passed", "scale": "passed"}
    assert not any(exercise["replaced"] for exercise in judged["exercises"]) and judged["cells_failed"] == []


def test_after_two_stops_the_rest_is_not_judged(faces, short, tmp_path):
    ends = "import os\nos._exit(0)"
    own = made.after(made.after(made.after(SOLVED, "cell-001", ends), "cell-003", ends), "cell-005", ends)
    judged = judge(made.write(short_of(own), tmp_path / "one.ipynb"), faces, SMALL, short)
    assert verdicts(judged) == {"get_dataloader": "stopped", "scale": "stopped"}
    assert all(exercise["words"].startswith("Not judged") for exercise in judged["exercises"])


def test_an_answer_that_prints_while_it_is_judged_and_one_with_advice_keep_their_points(faces, short, tmp_path):
    prints = in_scale("print('Tests Passed?', 'debug')\nlow, high = feature_range\nreturn x * (high - low) + low")
    submission = made.write(short_of(made.answered(SOLVED, scale=prints)), tmp_path / "one.ipynb")
    judged = judge(submission, faces, SMALL, short)
    assert points(judged) == {"get_dataloader": 4, "scale": 2}
    assert judged["exercises"][1]["words"].startswith("Tests Passed\n") or judged["exercises"][1]["words"] == "Tests Passed"


def test_the_time_of_all_ends_a_run(faces, short, tmp_path):
    judged = judge(made.write(short_of(SOLVED), tmp_path / "one.ipynb"), faces, Limits(whole=1), short)
    assert judged["stopped"] == "time: more than 1 s in all" and judged["seconds"] < 60
    assert set(verdicts(judged).values()) == {"stopped"} and nothing_left()


def test_a_run_sees_no_secret_and_no_way_to_the_solutions(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_TOKEN", "1")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(made.ROOT), str(tmp_path)]))
    seen = run._environment(tmp_path, tmp_path / "work", [str(made.ROOT)], "t")
    assert "HF_TOKEN" not in seen and seen["PYTHONPATH"] == str(tmp_path) and seen["FACE_EPOCHS"] == "1"
