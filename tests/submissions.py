"""For the tests: submissions made out of the solved notebook, and a narrow reference whose training takes seconds."""

import copy
import json
from pathlib import Path

from teaching import cells

ROOT = Path(__file__).resolve().parent.parent
NARROW = ("_conv_dim = 64", "_conv_dim = 8"), ("batches=40", "batches=2")
ANSWERS = ("get_dataloader", "scale", "discriminator", "generator", "weights_init_normal", "losses", "optimizers",
           "discriminator_step", "generator_step", "mode_difference")


def solved(narrow=True):
    """The solved notebook as JSON, narrow or as it is."""
    notebook = json.loads((ROOT / "face_generation.ipynb").read_text(encoding="utf-8"))
    for cell in notebook["cells"]:
        cell["source"] = "".join(cell["source"])
        for old, new in NARROW if narrow else ():
            cell["source"] = cell["source"].replace(old, new)
    return notebook


def write(notebook, path):
    path.write_text(json.dumps(notebook), encoding="utf-8")
    return path


def at(notebook, name):
    """The cell with this grade_id or id."""
    return next(cell for cell in notebook["cells"] if name in (cell.get("id"), grade_id(cell)))


def grade_id(cell):
    return cell["metadata"].get("nbgrader", {}).get("grade_id")


def code(source, **more):
    return {"cell_type": "code", "source": source, "metadata": {}, "outputs": [], "execution_count": None, **more}


def unanswered(notebook, *names):
    """A copy in which these exercises are as they are handed out."""
    notebook = copy.deepcopy(notebook)
    for name in names:
        at(notebook, name)["source"] = cells.scaffold(at(notebook, name)["source"])
    return notebook


def answered(notebook, **answers):
    """A copy with other answers: grade_id=source."""
    notebook = copy.deepcopy(notebook)
    for name, source in answers.items():
        at(notebook, name)["source"] = source
    return notebook


def after(notebook, name, *sources):
    """A copy with cells of the learner's own behind this one."""
    notebook = copy.deepcopy(notebook)
    place = notebook["cells"].index(at(notebook, name)) + 1
    notebook["cells"][place:place] = [code(source, id=f"own-{place}-{number}") for number, source in enumerate(sources)]
    return notebook


def bare(notebook):
    """A copy without ids and metadata, as some hosted notebooks leave it."""
    notebook = copy.deepcopy(notebook)
    for cell in notebook["cells"]:
        cell.pop("id", None)
        cell["metadata"] = {}
    return notebook
