"""helper.py is an index over its rooms, and says in one line which of them is missing or hidden by another module."""

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import helper

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("faces", "training", "measures")


@pytest.fixture
def copy(tmp_path):
    """helper.py and its rooms in a folder of their own."""
    folder = tmp_path / "project"
    folder.mkdir()
    for name in ("common.py", "helper.py", "submission.py", "waiting.py"):
        shutil.copy(ROOT / name, folder)
    for room in ROOMS:
        shutil.copytree(ROOT / room, folder / room, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def run(folder, code, **more):
    """Run code as a notebook would show it: the last line of what a cell with an error in it prints."""
    shell = f"from IPython.core.interactiveshell import InteractiveShell as S; S.instance().run_cell({code!r})"
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | more
    done = subprocess.run([sys.executable, "-c", shell], cwd=folder, env=environment, capture_output=True, text=True)
    return done.stdout.strip().splitlines()


def test_helper_alone_with_its_rooms_is_enough(copy):
    assert run(copy, "import helper; print(sorted(helper.__all__) == helper.__all__)") == ["True"]


def test_every_name_of_the_index_is_there_and_every_import_is_in_it():
    assert all(hasattr(helper, name) for name in helper.__all__)
    imported = [alias.name for node in ast.parse((ROOT / "helper.py").read_text(encoding="utf-8")).body
                if isinstance(node, ast.ImportFrom) and node.module != "pathlib" for alias in node.names]
    assert sorted([*imported, "MissingRoom"]) == helper.__all__
    assert len((ROOT / "helper.py").read_text(encoding="utf-8").splitlines()) <= 120


@pytest.mark.parametrize("room", [*ROOMS, "common", "submission", "waiting"])
def test_a_missing_room_is_named_in_one_line(copy, room):
    shutil.rmtree(copy / room) if room in ROOMS else (copy / f"{room}.py").unlink()
    lines = run(copy, "import helper")
    assert len(lines) == 1 and lines[0].startswith(f"MissingRoom: {room} is missing: copy it") and str(copy) in lines[0]


@pytest.mark.parametrize("room", [*ROOMS, "common", "submission", "waiting"])
def test_a_module_that_hides_a_room_is_named_in_one_line(copy, tmp_path, room):
    """The notebook lies elsewhere, beside a module of the learner's, and finds helper by PYTHONPATH."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / f"{room}.py").write_text("mine = 1\n")
    lines = run(elsewhere, "import helper", PYTHONPATH=str(copy))
    assert len(lines) == 1 and f"{room}.py stands in the way" in lines[0] and "rename it" in lines[0]


def test_modules_and_folders_of_the_learner_s_beside_helper_do_no_harm(copy):
    for name in ("draw", "prepare", "faces", "find"):
        (copy / f"{name}.py").write_text("raise SystemExit('the wrong module')\n")
    assert run(copy, "import helper, faces.draw, faces.prepare; print('sound')") == ["sound"]
