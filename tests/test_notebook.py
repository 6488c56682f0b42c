"""The notebook as a document: its order, its cells, its committed outputs. nbval runs it; here it is only read."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from further import course

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOK = ROOT / "face_generation.ipynb"
CELLS = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
CODE = [cell for cell in CELLS if cell["cell_type"] == "code"]
CHECKS = ["get_dataloader", "scale", "discriminator", "generator", "weights_init", "losses", "optimizers", "training_steps",
          "mode_difference"]


def source(cell):
    return "".join(cell["source"])


def test_the_sections_come_in_the_path_s_order():
    headings = [line for cell in CELLS if cell["cell_type"] == "markdown" for line in source(cell).splitlines()
                if line.startswith("## ")]
    wanted = ["data", "get_dataloader", "scale", "Discriminator", "Generator", "weights_init_normal", "networks", "device",
              "losses", "optimizers", "step", "loop", "Training", "curves", "faces", "walk", "Numbers", "Questions",
              "rubric", "from here"]
    places = [next(i for i, heading in enumerate(headings) if f"{n + 1}." in heading and name in heading)
              for n, name in enumerate(wanted)]
    assert places == sorted(places)


@pytest.mark.parametrize("check", CHECKS)
def test_each_exercise_has_its_check_right_under_it(check):
    at = next(i for i, cell in enumerate(CODE) if f"tests.test_{check}(" in source(cell))
    assert "### BEGIN SOLUTION" in source(CODE[at - 1]) and "### END SOLUTION" in source(CODE[at - 1])
    assert "nbval-check-output" in CODE[at]["metadata"]["tags"]


def test_each_exercise_has_a_folded_hint():
    hints = [cell for cell in CELLS if cell["cell_type"] == "markdown" and "<summary>Hint" in source(cell)]
    assert len(hints) == len(CHECKS)


def test_references_have_links_and_are_cited_by_a_section():
    text = source(CELLS[-1])
    entries = re.findall(r"^- [A-Z]\..*?(?=^- |\Z)", text[text.index("### References"):], re.M | re.S)
    assert len(entries) > 8
    assert all(re.search(r"\]\(https://", entry) and re.search(r"\(section", entry.replace("sections", "section"))
               for entry in entries)


def test_no_cell_outside_a_class_is_longer_than_25_lines():
    long = [source(cell).splitlines()[0] for cell in CODE
            if len(source(cell).splitlines()) > 25 and not re.search(r"^class ", source(cell), re.M)]
    assert not long


@pytest.mark.parametrize("steps", [200, 2000])
def test_in_the_average_what_g_was_a_tenth_of_the_training_ago_counts_half(steps):
    G = torch.nn.Linear(1, 1, bias=False)
    G_average = course.load().averaged(G)
    for step in range(steps):
        torch.nn.init.constant_(G.weight, float(step >= 0.9 * steps))
        G_average.update_parameters(G)
    assert G_average.module.weight.item() == pytest.approx(0.5, abs=0.03)


def test_every_code_cell_was_run_from_top_to_bottom_without_an_error():
    assert [cell["execution_count"] for cell in CODE] == list(range(1, len(CODE) + 1))
    assert not [output for cell in CODE for output in cell["outputs"] if output["output_type"] == "error"]


def test_the_committed_outputs_are_of_the_drawn_faces_small_and_without_control_characters():
    assert NOTEBOOK.stat().st_size < 5_000_000
    text = "".join("".join(output.get("text", [])) for cell in CODE for output in cell["outputs"])
    assert "drawn by this project" in text
    assert not re.search(r"[\r\x1b]", text)
    assert not re.search(r"/(home|root|work|tmp|Users)/", text)


def test_readme_gives_two_commands_and_ci_runs_the_second():
    commands = re.findall(r"^(python3 -m venv .*)$", (ROOT / "README.md").read_text(encoding="utf-8"), re.M)
    assert len(commands) == 2
    assert commands[1] in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert all(Path(ROOT / word).exists() for command in commands for word in shlex.split(command)
               if word.endswith((".txt", ".ipynb")))


def test_ruff_finds_nothing_in_the_programs_and_the_notebook():
    done = subprocess.run([sys.executable, "-m", "ruff", "check", "--no-cache", ROOT], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
