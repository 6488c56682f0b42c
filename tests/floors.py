"""Do the least versions that requirements.txt names still do? Runs the notebook and the tests of its rooms with them.

    python tests/floors.py [FOLDER]

FOLDER: where the virtual environment is made, and stays for the next time; without it, in a temporary folder. Each `>=`
of requirements.txt becomes `==`. Prints a line for each step, and ends at the first that fails with what it said.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FACES = 600
TOOLS = ("pytest", "hypothesis")  # of tests/requirements.txt; a test that wants more skips
HOUSE = ("helper.py", "common.py", "submission.py", "waiting.py", "problem_unittests.py", "face_generation.ipynb")
ROOMS = ("faces", "training", "measures")
TESTS = ("index", "find", "decode", "show", "draw", "prepare", "run", "resume", "training", "card", "export",
         "measures")


def floors(requirements):
    """Return the lines of a requirements file with the least version as the only one: ["torch==2.6", ...]."""
    return [f"{name}=={least}" for name, least in re.findall(r"^([\w-]+)>=([\d.]+)", requirements, re.M)]


def tools(requirements):
    """Return those lines of tests/requirements.txt that the tests below need: ["pytest>=8.0", ...]."""
    return re.findall(rf"^(?:{'|'.join(TOOLS)})>=[\d.]+", requirements, re.M)


def step(name, command, **where):
    """Run one command and print how long it took; where it fails, print the end of its output and stop."""
    began = time.monotonic()
    done = subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **where)
    print(f"{name}: {'done' if done.returncode == 0 else 'FAILED'} in {time.monotonic() - began:.0f} s", flush=True)
    if done.returncode:
        sys.exit("\n".join(done.stdout.splitlines()[-60:]))


def copy_house(folder):
    """Copy the notebook and what it needs, and no more, so that a fourth thing that it leans on shows."""
    for name in HOUSE:
        shutil.copy(ROOT / name, folder)
    for room in ROOMS:
        shutil.copytree(ROOT / room, folder / room, ignore=shutil.ignore_patterns("__pycache__"))


def check(environment, scratch):
    """Install, draw, run the notebook, run the tests; scratch is an empty folder."""
    programs = environment / ("Scripts" if os.name == "nt" else "bin")
    if not (environment / "pyvenv.cfg").exists():
        venv.create(environment, with_pip=True)
    wanted = floors((ROOT / "requirements.txt").read_text(encoding="utf-8"))
    wanted += tools((ROOT / "tests" / "requirements.txt").read_text(encoding="utf-8"))
    step(f"install {' '.join(wanted)}", [programs / "python", "-m", "pip", "install", "-q", *wanted])

    faces, copy = scratch / "faces", scratch / "copy"
    step(f"draw {FACES} faces", [programs / "python", "-m", "faces.draw", faces / "drawn", "--count", FACES], cwd=ROOT)
    copy.mkdir()
    copy_house(copy)
    step("run the notebook for one epoch", [programs / "jupyter", "execute", "--inplace", copy / "face_generation.ipynb"],
         env=os.environ | {"FACE_DATA": str(faces), "FACE_EPOCHS": "1"}, cwd=copy)
    files = [ROOT / "tests" / f"test_{name}.py" for name in TESTS]
    step("test the rooms", [programs / "python", "-m", "pytest", "-q", "-o", "addopts=", "-p", "no:cacheprovider", *files],
         cwd=ROOT)


def main():
    parser = argparse.ArgumentParser(description="Try the least versions that requirements.txt names.")
    parser.add_argument("folder", nargs="?", type=Path)
    folder = parser.parse_args().folder
    if sys.version_info >= (3, 12):
        sys.exit("some of the least versions are older than Python 3.12: run this with Python 3.11.")
    with tempfile.TemporaryDirectory() as scratch:
        check((folder or Path(scratch) / "venv").resolve(), Path(scratch))


if __name__ == "__main__":
    main()
