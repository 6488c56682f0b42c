"""What a learner hands in, as one file: the notebook as it was saved, a page of it, and the rubric report."""

import json
import os
import time
import zipfile
from pathlib import Path

from IPython import get_ipython

from common import write_beside

MARK = "tests.rubric_report("  # what stands in no other notebook
DATA = "shows-data"  # tag of the cells whose pictures are of the data
SAVE = "save the notebook (Ctrl+S), and run this cell again"


def hand_in(report, results, photographs=True):
    """Write report.html, report.json and submission.zip into `results`, and say what the zip holds.

    The zip holds the report and, if the notebook was saved since the generator was exported, the notebook and a page
    of it. The paths of the home folder and of the working folder are cut out of what they show.

    Args:
        report: what tests.rubric_report gave; results: folder, where generator.pt2 lies already.
        photographs: False leaves out the report's real faces and the pictures of the cells tagged "shows-data".
    """
    results = Path(results)
    inside = {path.name: path.read_text(encoding="utf-8") for path in report.save(results, photographs)}
    path = notebook_file()
    if path is None:
        lacks = "the notebook: which file it is could not be told"
    elif not (results / "generator.pt2").exists() or path.stat().st_mtime < (results / "generator.pt2").stat().st_mtime:
        lacks = f"{path.name}, which was not saved since its training: {SAVE}"
    else:
        cleaned = clean(path.read_text(encoding="utf-8"), photographs)
        inside |= {path.name: cleaned, path.with_suffix(".html").name: as_page(cleaned)}
        lacks = None
    write_beside(results / "submission.zip", lambda file: _pack(file, inside))
    print(f"{results / 'submission.zip'} holds: {', '.join(inside)}.")
    if lacks:
        print(f"It lacks {lacks}.")
    else:
        saved = time.strftime("%H:%M", time.localtime(path.stat().st_mtime))
        print(f"The notebook in it is as it was saved at {saved}. If you wrote more since, {SAVE}.")


def notebook_file():
    """The file of the notebook that runs this, a Path, or None if that cannot be told.

    Jupyter and VS Code name it; without them it is the one notebook of the working folder that has a rubric report.
    """
    shell = get_ipython()
    named = os.environ.get("JPY_SESSION_NAME") or (shell and shell.user_ns.get("__vsc_ipynb_file__"))
    if named and Path(named).suffix == ".ipynb" and Path(named).is_file():
        return Path(named)
    found = [path for path in Path.cwd().glob("*.ipynb") if MARK in path.read_text(encoding="utf-8", errors="replace")]
    return found[0] if len(found) == 1 else None


def clean(text, photographs=True):
    """A notebook's text without the paths of this machine; photographs=False: without the data's pictures."""
    notebook = _without_paths(json.loads(text))
    for cell in notebook["cells"]:
        if not photographs and DATA in cell["metadata"].get("tags", []):
            cell["outputs"] = [one for one in cell["outputs"] if not {"image/png", "text/html"} & one.get("data", {}).keys()]
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"


def _without_paths(value):
    """The value with home and working folder cut out of every text in it, however deep; pictures stay as they are."""
    if isinstance(value, dict):
        return {key: inner if key.startswith("image/") else _without_paths(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_without_paths(inner) for inner in value]
    if isinstance(value, str):
        for path, short in ((Path.cwd(), "."), (Path.home(), "~")):
            if path != path.parent:  # the root is in every path
                value = value.replace(str(path), short)
    return value


def as_page(text):
    """A notebook's text as one HTML page, pictures included, by nbconvert."""
    import nbformat  # here, because it takes a second
    from nbconvert import HTMLExporter

    return HTMLExporter(embed_images=True).from_notebook_node(nbformat.reads(text, 4))[0]


def _pack(file, inside):
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, text in inside.items():
            packed.writestr(name, text)
