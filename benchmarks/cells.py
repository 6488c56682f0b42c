"""Read what the notebook defines, so that benchmarks, further/ and tests use its own cells and no copy of them."""

import ast
import json
import sys
from pathlib import Path
from types import SimpleNamespace

ROOT = Path(__file__).resolve().parent.parent


def sources(path=ROOT / "face_generation.ipynb"):
    """Return the sources of the notebook's code cells, list of str, without the lines that only Jupyter understands."""
    found = json.loads(Path(path).read_text(encoding="utf-8"))["cells"]
    code = ("".join(cell["source"]) for cell in found if cell["cell_type"] == "code")
    return ["\n".join(line for line in source.splitlines() if not line.startswith("%")) for source in code]


def load(path=ROOT / "face_generation.ipynb", **instead):
    """Execute the notebook's imports, functions and classes, and nothing else of it.

    instead: definitions that take the place of the notebook's, for its functions too: load(mirror_half=...).
    Returns: SimpleNamespace with all names that they define: Discriminator, Generator, train, ...
    """
    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))
    kept = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef)
    names = {"__name__": "face_generation"}
    for source in sources(path):
        body = [node for node in ast.parse(source).body if isinstance(node, kept)]
        exec(compile(ast.Module(body, type_ignores=[]), str(path), "exec"), names)
    names.update(instead)
    return SimpleNamespace(**names)


SET_UP = {
    "image_size", "batch_size", "d_conv_dim", "g_conv_dim", "z_size", "device", "learning_rate", "betas",
    "D", "G", "G_average", "d_optimizer", "g_optimizer",
}


def set_up(path=ROOT / "face_generation.ipynb", **given):
    """Execute, besides what `load` does, the notebook's assignments to the names in SET_UP: fresh networks as it makes them.

    given: values and definitions that take the place of the notebook's: set_up(image_size=64, device=torch.device("cpu")).
    Returns: SimpleNamespace as from `load`, with D, G, G_average, d_optimizer, g_optimizer, batch_size, ...
    """
    names = vars(load(path, **given))
    for source in sources(path):
        for node in ast.parse(source).body:
            if isinstance(node, ast.Assign):
                targets = {name.id for target in node.targets for name in ast.walk(target) if isinstance(name, ast.Name)}
                if targets <= SET_UP - given.keys():
                    exec(compile(ast.Module([node], type_ignores=[]), str(path), "exec"), names)
    return SimpleNamespace(**names)
