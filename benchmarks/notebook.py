"""Read what the notebook defines, so that benchmarks, further/ and tests use its own cells and no copy of them."""

import ast
import json
import sys
from pathlib import Path
from types import SimpleNamespace

ROOT = Path(__file__).resolve().parent.parent


def cells(path=ROOT / "face_generation.ipynb"):
    """Return the sources of the notebook's code cells, list of str, without the lines that only Jupyter understands."""
    found = json.loads(Path(path).read_text(encoding="utf-8"))["cells"]
    sources = ("".join(cell["source"]) for cell in found if cell["cell_type"] == "code")
    return ["\n".join(line for line in source.splitlines() if not line.startswith("%")) for source in sources]


def load(path=ROOT / "face_generation.ipynb"):
    """Execute the notebook's imports, functions and classes, and nothing else of it.

    Returns: SimpleNamespace with all names that they define: Discriminator, Generator, train, ...
    """
    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))
    kept = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef)
    names = {"__name__": "face_generation"}
    for source in cells(path):
        body = [node for node in ast.parse(source).body if isinstance(node, kept)]
        exec(compile(ast.Module(body, type_ignores=[]), str(path), "exec"), names)
    return SimpleNamespace(**names)
