"""The notebook's cells for other programs: its definitions as a module, its networks made afresh, its training.

    own = course.set_up(image_size=64)                            # as the notebook makes them, but for 64 x 64
    run = course.fit(own, photographs, 400_000, "results/mine")   # by the notebook's own `train`

Nothing here is a copy of the notebook: change a cell there, and it changes here.
"""

import ast
import json
import linecache
import math
import sys
from pathlib import Path
from types import ModuleType

import torch
from IPython.core.inputtransformer2 import TransformerManager
from torch.utils.data import DataLoader, RandomSampler

import helper
from common import FaceError

NOTEBOOK = Path(__file__).resolve().parent.parent / "face_generation.ipynb"
PARTS = ("D", "G", "G_average", "d_optimizer", "g_optimizer")
SET_UP = {"image_size", "batch_size", "d_conv_dim", "g_conv_dim", "z_size", "device", "learning_rate", "betas", *PARTS}
PYTHON_UNDER = ("%%time", "%%capture", "%%prun")  # cell magics whose body IPython runs in the notebook's own names
STUB = "# YOUR CODE HERE"  # nbgrader's, with a raise below it, where a solution was cut out
LITERALS = (ast.Constant, ast.Tuple, ast.List, ast.Set, ast.Dict, ast.UnaryOp, ast.BinOp, ast.unaryop, ast.operator,
            ast.expr_context)


# --- Reading the cells ------------------------------------------------------------------------------------------------


def sources(path=NOTEBOOK):
    """Return the notebook's code cells as the Python that IPython makes of them, list of str.

    Lines such as `%matplotlib inline`, `!pip list` and `x = !ls` become calls of IPython's. Under %%time, %%capture and
    %%prun the body stays; a cell under another magic (%%bash, %%html, %%writefile) is no Python of this notebook: "".
    Raises: FaceError if the file cannot be read as a notebook.
    """
    try:
        cells = json.loads(Path(path).read_text(encoding="utf-8"))["cells"]
        return [_python("".join(cell["source"])) for cell in cells if cell["cell_type"] == "code"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FaceError(f"{path} cannot be read as a notebook ({type(error).__name__}: {error}).") from None


def _python(source):
    source = source.lstrip("\n")  # as IPython does
    if not source.startswith("%%"):
        return TransformerManager().transform_cell(source)
    magic, _, body = source.partition("\n")
    return f"# {magic}\n{_python(body)}" if magic.split()[0] in PYTHON_UNDER else ""


def _statements(path):
    """Yield (file name of the cell, statement) for all that the notebook's cells hold, in their order.

    The file name holds the number that Jupyter gives the cell when all run from top to bottom, In [1] being the first;
    linecache knows its lines, so that a traceback shows them.
    """
    for number, source in enumerate(sources(path), 1):
        name = f"{path}, cell {number}"
        linecache.cache[name] = len(source), None, source.splitlines(keepends=True), name
        try:
            body = ast.parse(source).body
        except SyntaxError as error:
            raise FaceError(f"{name}, line {error.lineno}, is no Python: {error.msg}.") from None
        yield from ((name, statement) for statement in body)


def _bound(statement):
    """Return the names that an assignment binds, a set; it is empty for another statement and for `x.y = ...`."""
    if isinstance(statement, ast.Assign):
        nodes = [node for target in statement.targets for node in ast.walk(target)]
    elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
        nodes = list(ast.walk(statement.target))
    else:
        return set()
    simple = all(isinstance(node, ast.Name | ast.Tuple | ast.List | ast.Starred | ast.expr_context) for node in nodes)
    return {node.id for node in nodes if isinstance(node, ast.Name)} if simple else set()


def _unanswered(cell, definition):
    """Is this a function or class of a student's edition, where nbgrader has cut out a solution and none was put in?"""
    for function in ast.walk(definition):
        for statement in function.body if isinstance(function, ast.FunctionDef) else []:
            if isinstance(statement, ast.Return):  # an answer above the stub: what comes behind it does no harm
                break
            if isinstance(statement, ast.Raise) and linecache.getline(cell, statement.lineno - 1).strip() == STUB:
                return True
    return False


# --- Executing them ---------------------------------------------------------------------------------------------------


def load(path=NOTEBOOK, **instead):
    """Execute the notebook's imports, functions, classes and plain constants, and nothing else of it.

    A plain constant is a name given a number, a text, or what is made of such: `betas = (0.1, 0.999)`.
    instead: definitions that take the place of the notebook's, for its functions too: load(mirror_half=...).
    Returns: a module with all these names: Discriminator, Generator, train, ... It is in sys.modules under a name of its
        own, so that what it defines can be pickled in this process; several may live side by side.
    Raises: FaceError, with one line, for a notebook that cannot be read and for a student's whose exercises wait.
    """
    return _execute(path, set(), instead)


def set_up(path=NOTEBOOK, **given):
    """Execute, besides what `load` does, the notebook's assignments to the names in SET_UP: fresh networks as it makes them.

    given: values and definitions that take the place of the notebook's: set_up(image_size=64, device=torch.device("cpu")).
    Returns: a module as from `load`, with D, G, G_average, d_optimizer, g_optimizer, batch_size, ...
    Raises: FaceError as `load` does.
    """
    return _execute(path, SET_UP, given)


def _execute(path, wanted, instead):
    statements = list(_statements(path))
    definitions = ast.Import | ast.ImportFrom | ast.FunctionDef | ast.ClassDef
    _check_answers(path, statements, wanted, instead)
    module, constants = _new_module(), set(instead)
    for cell, statement in statements:
        names = _bound(statement)
        constant = names and all(isinstance(node, LITERALS) or getattr(node, "id", None) in constants
                                 for node in ast.walk(statement.value))
        if constant:
            constants |= names
        if constant or isinstance(statement, definitions) or names and names <= wanted - instead.keys():
            exec(compile(ast.Module([statement], type_ignores=[]), cell, "exec"), vars(module))
            vars(module).update(instead)
    return module


def _check_answers(path, statements, wanted, instead):
    """Raise a FaceError that names all exercises of a student's notebook which have no answer yet."""
    missing, bound = [], set(instead)
    for cell, statement in statements:
        if isinstance(statement, ast.FunctionDef | ast.ClassDef) and statement.name not in instead:
            missing += [statement.name] * _unanswered(cell, statement)
        elif not isinstance(getattr(statement, "value", None), ast.Constant):  # `D = None` is no answer
            bound |= _bound(statement)
    missing += [name for name in PARTS if name in wanted - bound]
    if missing:
        raise FaceError(f"{path} has no answer yet for: {', '.join(missing)}.")


def _new_module():
    name, number = "face_generation", 1
    while name in sys.modules:
        number += 1
        name = f"face_generation_{number}"
    sys.modules[name] = ModuleType(name)
    return sys.modules[name]


# --- Training ---------------------------------------------------------------------------------------------------------


def parts_of(own):
    """What the notebook's `train` moves and a checkpoint keeps: {"D": ..., "G": ..., "G_average": ..., both optimizers}."""
    return {name: getattr(own, name) for name in PARTS}


def loader_of(own, photographs, epoch=None):
    """DataLoader of shuffled batches (images (B, C, S, S) in [0, 1], labels 0) of photographs, uint8 (N, C, S, S).

    epoch: how many of them, drawn anew each time, one pass over the loader takes; as it is, all.
    What is a DataLoader already is returned as it is.
    """
    if isinstance(photographs, DataLoader):
        return photographs
    faces = helper.DecodedFaces(photographs, torch.zeros(len(photographs), dtype=torch.long))
    drawn = RandomSampler(faces, num_samples=epoch and min(epoch, len(faces)))
    return DataLoader(faces, own.batch_size, sampler=drawn, collate_fn=list)


def epochs_for(loader, images):
    """How often `fit` goes through the loader until about so many images were seen, 1 or more."""
    return max(1, round(images / len(loader.sampler)))


def steps_for(own, photographs, images):
    """How many batches `fit` will train on in all, for what has to know it beforehand: a learning rate that falls."""
    loader = loader_of(own, photographs)
    return epochs_for(loader, images) * len(loader)


class ForSeconds(helper.TrainingRun):
    """A TrainingRun that ends with the epoch that is nearest to so many seconds of training, `limit`.

    How many epochs that will be is reckoned anew after each, from the pace so far.
    """

    INTERRUPTED = "Interrupted."
    limit = math.inf

    def epochs(self):
        self._reckon(self.epoch)
        for epoch in super().epochs():
            yield epoch
            self._reckon(epoch + 1)
            if self._bar is not None:
                self._bar.total = self.total * self.batch

    def _reckon(self, done):
        if done and math.isfinite(self.limit):
            self.total = max(done, round(done * self.limit / self.seconds))


def fit(own, photographs, images, folder, loop=None, parts=None, sample=None, settings=None,
        trouble=helper.signs_of_trouble, seconds=math.inf):
    """Train until about `images` pictures were seen, in whole epochs; where `folder` holds a part of it, go on there.

    Args:
        own: what `set_up` gave. A system with a loop, parts and a sample of its own needs of it only batch_size, and
            that only for photographs that come as a tensor.
        photographs: uint8 (N, C, S, S), or a DataLoader.
        images: int; folder: where checkpoints are kept, or None.
        loop: function of (run, loader) that goes through run.epochs() and run.batches(loader) and calls run.record with
            its losses; as it is, the notebook's `train` with own's steps.
        parts: dict, name to whatever has a state_dict and must be kept: networks, optimizers, schedulers. As it is, the
            notebook's five, `parts_of(own)`.
        sample: function that returns pictures (N, C, S, S) in [-1, 1], shown and kept through training; as it is, eight
            faces of the part that is called G_average, if there is one.
        settings: dict of what else two trainings must share for one to go on with the other.
        trouble: function of (history, snapshots, seen) that returns signs of trouble, list of str.
        seconds: float, train for about so long instead, in whole epochs; `images` is then a first guess of how far that is.
    Returns: helper.TrainingRun, done.
    Raises: FaceError as helper.TrainingRun does, and if it was interrupted.
    """
    parts = parts or parts_of(own)
    loader = loader_of(own, photographs)
    if sample is None and "G_average" in parts:
        device = next(parts["G_average"].parameters()).device
        sample = helper.FixedFaces(parts["G_average"], own.random_z(8, own.z_size, device))
    settings = {"faces": helper.data_key(loader), "batch_size": loader.batch_size, **(settings or {})}
    run = ForSeconds(folder, epochs_for(loader, images), sample, settings, trouble=trouble, **parts)
    run.limit = seconds
    (loop or own_loop(own))(run, loader)
    if run.interrupted:
        raise FaceError(f"interrupted after {run.images:,} images. "
                        + ("What was learned is kept: the same once more goes on from there." if folder else
                           "Nothing of this training is kept: it had no folder for checkpoints (--folder, where there is "
                           "that option)."))
    return run


def own_loop(own):
    """The loop that `fit` takes, made of the notebook's `train`; own: what `set_up` gave."""

    def loop(run, loader):
        own.train(own.D, own.G, own.G_average, loader, own.d_optimizer, own.g_optimizer, own.discriminator_step,
                  own.generator_step, run)

    return loop


def loop_of(step):
    """The loop that `fit` takes, made of one step: a function of (run, images, labels) that trains on a batch as the loader
    gives it and returns a dict of what to record.
    """

    def loop(run, loader):
        with run:
            for _epoch in run.epochs():
                for images, labels in run.batches(loader):
                    run.record(**step(run, images, labels))

    return loop
