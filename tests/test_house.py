"""The house itself: which room may lean on which, how long a file may be, and what the documents promise."""

import ast
import json
import re
from pathlib import Path

import floors
import pytest

from benchmarks import ingredients, recipes

ROOT = Path(__file__).resolve().parent.parent
# What each part may import of the project; `tests` may import all of it.
ROOMS = {"common", "waiting", "submission", "faces", "training", "measures"}
MAY_IMPORT = {
    "common": set(),
    "waiting": {"common"},
    "submission": {"common"},
    "faces": {"common", "faces"},
    "training": {"common", "training"},
    "measures": {"common", "measures"},
    "problem_unittests": set(),
    "helper": ROOMS,
    "further": {"helper", "further"} | ROOMS,
    "teaching": {"common", "faces", "teaching"},
    "benchmarks": {"helper", "further", "benchmarks"} | ROOMS,
}
LONG = 350  # lines that are read to their end in one sitting
LONGER = {"problem_unittests.py"}  # one file that can be dropped into a course


def files():
    """Every Python file outside tests/, relative to the project's folder."""
    inside = [path for part in MAY_IMPORT for path in sorted((ROOT / part).rglob("*.py"))]
    return [path.relative_to(ROOT) for path in [*sorted(ROOT.glob("*.py")), *inside]]


def tree(path):
    return ast.parse((ROOT / path).read_text(encoding="utf-8"))


def part_of(path):
    return path.parts[0].removesuffix(".py")


def imported(path):
    """The first word of every module that a file imports, inside its functions too."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield part_of(path) if node.level else node.module.split(".")[0]


def text(*path):
    return ROOT.joinpath(*path).read_text(encoding="utf-8")


def commands():
    return re.findall(r"^(python3 -m venv .*)$", text("README.md"), re.M)


# --- The code ---------------------------------------------------------------------------------------------------------


def test_every_file_belongs_to_a_part_of_the_house():
    assert len(files()) > 20
    assert {part_of(path) for path in files()} == MAY_IMPORT.keys()


@pytest.mark.parametrize("path", files(), ids=str)
def test_imports_run_one_way(path):
    ours = {name for name in imported(path) if name in MAY_IMPORT or name == "tests"}
    assert ours <= MAY_IMPORT[part_of(path)]


@pytest.mark.parametrize("path", files(), ids=str)
def test_no_file_is_too_long_to_be_read_in_one_sitting(path):
    assert path.name in LONGER or len(text(path).splitlines()) <= LONG


@pytest.mark.parametrize("path", files(), ids=str)
def test_no_file_edits_the_path_patches_a_module_or_loads_one_by_its_path(path):
    nodes = list(ast.walk(tree(path)))
    names = {f"{node.value.id}.{node.attr}" for node in nodes
             if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)}
    names |= {alias.name for node in nodes if isinstance(node, ast.Import | ast.ImportFrom) for alias in node.names}
    assert not names & {"sys.path", "path_hooks", "mock", "unittest.mock", "mock.patch", "spec_from_file_location",
                        "util.spec_from_file_location", "SourceFileLoader", "machinery.SourceFileLoader"}
    assert "spec_from_file_location" not in {node.attr for node in nodes if isinstance(node, ast.Attribute)}


# --- The documents ----------------------------------------------------------------------------------------------------


def test_readme_is_short():
    assert len(text("README.md").splitlines()) <= 140


def test_the_workflow_runs_readme_s_two_commands_on_three_systems():
    workflow = text(".github", "workflows", "test.yml")
    assert len(commands()) == 2
    for command in commands():
        on_windows = command.replace("python3", "python").replace(".venv/bin/", ".venv\\Scripts\\")
        assert all(re.search(rf"^ +run: {re.escape(line)}$", workflow, re.M) for line in (command, on_windows))
    assert all(f"{system}-latest" in workflow for system in ("ubuntu", "macos", "windows"))


def test_ci_tries_the_least_versions():
    assert re.search(r"^python3 tests/floors\.py$", text(".ci", "run"), re.M)


@pytest.mark.parametrize("path", ["requirements.txt", "tests/requirements.txt"])
def test_every_requirement_has_a_least_version_and_a_reason(path):
    lines = [line for line in text(path).splitlines() if line and not line.startswith("#")]
    assert lines
    assert not [line for line in lines if not re.fullmatch(r"[\w-]+>=[\d.]+ +# \S.{10,}", line)]


def test_floors_takes_every_requirement():
    lines = [line for line in text("requirements.txt").splitlines() if line and not line.startswith("#")]
    assert [floor.split("==")[0] for floor in floors.floors(text("requirements.txt"))] == [
        line.split(">=")[0] for line in lines]
    assert len(floors.tools(text("tests", "requirements.txt"))) == len(floors.TOOLS)
    assert all((ROOT / "tests" / f"test_{name}.py").is_file() for name in floors.TESTS)
    assert all((ROOT / name).exists() for name in floors.HOUSE + floors.ROOMS)


def anchors(document):
    """The anchors of a Markdown text's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", document, re.M)
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


def documents():
    notebook = json.loads(text("face_generation.ipynb"))
    yield ROOT, "".join("".join(cell["source"]) + "\n" for cell in notebook["cells"] if cell["cell_type"] == "markdown")
    for path in sorted(ROOT.glob("*/README.md")) + [ROOT / "README.md"]:
        yield path.parent, path.read_text(encoding="utf-8")


@pytest.mark.parametrize("folder, document", list(documents()), ids=lambda value: getattr(value, "name", ""))
def test_links_lead_somewhere(folder, document):
    for target in re.findall(r"\]\(([^)\s]+)\)", document):
        if not target.startswith(("http:", "https:", "attachment:", "data:")):
            path, _, anchor = target.partition("#")
            assert not path or (folder / path).exists(), target
            assert not anchor or anchor in anchors((folder / path).read_text(encoding="utf-8") if path else document), target


def test_readme_s_figures_are_those_of_the_measured_table():
    rows = dict(re.findall(r"^\| ([\w-]+) \|(.*)\|$", re.search(
        r"^## 400,000 images\n(.*?)^## ", text("benchmarks", "README.md"), re.M | re.S)[1], re.M))
    wanted = [re.findall(r"([\d.]+) ±", rows[name]) for name in ("photographs", "default", "best", "tutorial", "learners")]
    measured = text("README.md").split("## Measured")[1]
    given = re.findall(r"^\| .* \| ([\d.]+) \| ([\d.]+) \|$", measured, re.M)
    assert given == [(found, distance) for found, _, distance, *_ in wanted]


def test_every_recipe_is_explained_and_every_row_of_a_table_is_one():
    readme = text("benchmarks", "README.md")
    explained = re.search(r"^## Recipes\n(.*?)^## ", readme, re.M | re.S)[1]
    names = {name for first in re.findall(r"^\| ([\w, ]+) \|", explained, re.M) for name in first.split(", ")} - {"name"}
    assert names == recipes.RECIPES.keys()
    rows = {row.split(",")[0] for _, distances in ingredients.tables(readme) for row in distances}
    assert rows - {"photographs"} <= names


def test_the_plot_of_the_ingredients_finds_their_figures():
    tables = [rows for heading, rows in ingredients.tables(text("benchmarks", "README.md")) if heading == ingredients.LENGTH]
    assert len(tables) > 1 and tables[0]["default"] == 0.0209
    ingredients.plot(tables[1]).canvas.draw()
