"""further/course.py: the notebook's cells as a module, whatever else is in the notebook, and training with them."""

import ast
import json
import pickle
import re
import signal
import subprocess
import sys
import traceback
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from common import FaceError
from further import course

ROOT = Path(__file__).resolve().parent.parent
SMALL = {"d_conv_dim": 8, "g_conv_dim": 8, "device": torch.device("cpu")}


def notebook(folder, *cells, name="own.ipynb"):
    """Write a notebook of these code cells and return its path."""
    cells = [{"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None, "source": cell.splitlines(True)}
             for cell in cells]
    about = {"cell_type": "markdown", "metadata": {}, "source": "def not_code(): ..."}
    path = Path(folder) / name
    path.write_text(json.dumps({"cells": [about, *cells], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}), "utf-8")
    return path


@pytest.fixture(scope="module")
def pictures():
    return torch.randint(0, 256, (64, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


# --- Reading


def test_magics_and_shell_lines_are_no_obstacle(tmp_path):
    own = course.load(notebook(
        tmp_path,
        "%matplotlib inline\n!pip install \\\n    nothing\nimport math",
        "files = !ls\n%time side = 3\nside?\n\ndef area(r):\n    if r < 0:\n        %timeit 1\n    return math.pi * r",
        "%%time\ndef one():\n    return 1",
        "\n%%capture kept\n%%time\nclass Two:\n    pass",
    ))
    assert own.area(2) == pytest.approx(6.28319) and own.one() == 1 and own.Two.__name__ == "Two"


@pytest.mark.parametrize("magic", ["bash", "html", "javascript", "latex", "writefile other.py", "script perl", "R"])
def test_cells_of_other_languages_are_passed_over(tmp_path, magic):
    path = notebook(tmp_path, f"%%{magic}\n<b>import nothing_here; def (</b>", f"%%{magic}\nimport nothing_here",
                    "def last():\n    return 3")
    assert course.sources(path)[:2] == ["", ""]
    own = course.load(path)
    assert own.last() == 3 and not hasattr(own, "nothing_here")


def test_only_imports_functions_classes_and_plain_constants_are_executed(tmp_path):
    own = course.load(notebook(
        tmp_path,
        "import torch\nraise SystemExit('executed')",
        "image_size = 32\nhalf: int = image_size // 2\nbetas = (0.1, -0.999)\nnames, rate = ['a'], 4e-4\nlabel = 'it'",
        "def sizes():\n    return image_size, half\nprint(undefined)\nloader = undefined()\nmade = sizes()\nbetas[0] = 3",
        "for i in undefined:\n    pass",
    ))
    assert own.sizes() == (32, 16) and own.betas == (0.1, -0.999) and own.names == ["a"] and own.rate == 4e-4
    assert not {"loader", "made", "i"} & set(vars(own))


def test_what_takes_the_place_of_the_notebook_s_own_is_seen_by_its_functions_and_classes(tmp_path):
    path = notebook(tmp_path, "size = 32\narea = size * size", "def scale(x):\n    return x * size",
                    "class Base:\n    pass\n\ndef both(x):\n    return scale(x), area", "class Above(Base):\n    pass")
    assert course.load(path).both(2) == (64, 1024)
    own = course.load(path, size=3, Base=nn.Module)
    assert own.both(2) == (6, 9) and issubclass(own.Above, nn.Module)
    assert course.load(path, scale=lambda x: "mine").both(2) == ("mine", 1024)


def test_the_notebook_s_functions_see_its_constants_and_the_helper_that_is_given():
    own = course.load(helper=SimpleNamespace(fast_math="none"))
    assert own.train.__globals__["image_size"] == own.image_size == 32 and own.betas == (0.1, 0.999)
    assert own.train.__globals__["helper"].fast_math == "none" and own.z_size == 128


def test_two_loads_live_side_by_side_and_what_they_define_can_be_pickled():
    one, two = course.load(), course.load(image_size=64)
    assert one.__name__ != two.__name__ and sys.modules[one.__name__] is one and sys.modules[two.__name__] is two
    assert (one.image_size, two.image_size) == (32, 64) and one.Discriminator is not two.Discriminator
    for own in (one, two):
        assert pickle.loads(pickle.dumps(own.Discriminator)) is own.Discriminator
        D = pickle.loads(pickle.dumps(own.Discriminator(8)))
        assert type(D) is own.Discriminator and pickle.loads(pickle.dumps(own.scale)) is own.scale


def test_a_traceback_shows_the_cell_s_own_line(tmp_path):
    path = notebook(tmp_path, "%matplotlib inline\nsize = 3",
                    "%%time\n# a remark\n\ndef fails(x):\n    return size + x  # here",
                    "def calls(x):\n    return fails(x)  # from here")
    try:
        course.load(path).calls("text")
    except TypeError:
        shown = traceback.format_exc()
    assert re.search(r"own.ipynb, cell 2\", line 5, in fails\n +return size \+ x  # here", shown)
    assert re.search(r"own.ipynb, cell 3\", line 2, in calls\n +return fails\(x\)  # from here", shown)


def test_a_file_that_is_no_notebook_and_a_cell_that_is_no_python_get_one_line(tmp_path):
    (tmp_path / "text.ipynb").write_text("no notebook")
    for path in (tmp_path / "none.ipynb", tmp_path / "text.ipynb"):
        with pytest.raises(FaceError, match=rf"{path.name} cannot be read as a notebook") as stopped:
            course.load(path)
        assert "\n" not in str(stopped.value)
    with pytest.raises(FaceError, match=r"own.ipynb, cell 2, line 2, is no Python: "):
        course.load(notebook(tmp_path, "x = 1", "y = 2\ndef half(:\n    pass"))


# --- A student's notebook


@pytest.fixture(scope="module")
def students(tmp_path_factory):
    """The notebook without its solutions, as a teacher makes it."""
    folder = tmp_path_factory.mktemp("student")
    subprocess.run([sys.executable, "-m", "jupyter", "nbconvert", str(course.NOTEBOOK), "--to", "notebook",
                    "--output", "student.ipynb", "--output-dir", str(folder),
                    "--Exporter.preprocessors=nbgrader.preprocessors.ClearSolutions",
                    "--ClearSolutions.enforce_metadata=False"], check=True, capture_output=True)
    return folder / "student.ipynb"


def test_a_student_s_notebook_gets_one_line_that_names_what_is_missing(students):
    defined = [(node.name, ast.get_source_segment(source, node)) for source in course.sources()
               for node in ast.parse(source).body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    names = ", ".join(name for name, text in defined if "BEGIN SOLUTION" in text)
    assert names.startswith("get_dataloader, scale, Discriminator, Generator, ")
    for function, missing in ((course.load, names), (course.set_up, f"{names}, d_optimizer, g_optimizer")):
        with pytest.raises(FaceError) as stopped:
            function(students)
        assert str(stopped.value) == f"{students} has no answer yet for: {missing}."


def test_what_is_given_and_what_is_answered_is_not_missing(tmp_path):
    stub = "    # YOUR CODE HERE\n    raise NotImplementedError()"
    path = notebook(tmp_path, f"def scale(x):\n{stub}", f"def half(x):\n    return x / 2\n{stub}",
                    "class Abstract:\n    def forward(self):\n        raise NotImplementedError()")
    with pytest.raises(FaceError, match="own.ipynb has no answer yet for: scale.$"):
        course.load(path)
    own = course.load(path, scale=lambda x: x)
    assert own.half(2) == 1 and own.Abstract
    with pytest.raises(FaceError, match="no answer yet for: D, G, G_average, d_optimizer, g_optimizer.$"):
        course.set_up(path, scale=lambda x: x)


# --- Networks made afresh


def test_set_up_makes_what_the_notebook_makes():
    own = course.set_up(**SMALL, image_size=64)
    assert own.D(torch.zeros(2, 3, 64, 64)).shape == (2, 1) and own.G(torch.zeros(2, 128)).shape == (2, 3, 64, 64)
    assert own.G_average.module is not own.G and own.d_optimizer.param_groups[0]["betas"] == own.betas
    held = {id(weight) for group in own.g_optimizer.param_groups for weight in group["params"]}
    assert held == {id(weight) for weight in own.G.parameters()}
    other = course.set_up(**SMALL, learning_rate=1e-3, batch_size=5)
    assert other.g_optimizer.param_groups[0]["lr"] == 1e-3 and other.batch_size == 5
    assert next(other.D.parameters()).shape[0] == 8 and other.D is not own.D


# --- Training


def test_fit_trains_the_notebook_s_networks_and_goes_on_where_it_stopped(pictures, tmp_path, capsys):
    own = course.set_up(**SMALL)
    before = [value.clone() for value in own.G.parameters()]
    run = course.fit(own, pictures, 64, tmp_path)
    assert run.images == 64 and run.snapshots[-1].shape == (8, 3, 32, 32)
    assert not any(torch.equal(a, b) for a, b in zip(before, own.G.parameters(), strict=True))
    run = course.fit(course.set_up(**SMALL), pictures, 3 * 64, tmp_path)
    assert run.images == 3 * 64 and "Going on" in capsys.readouterr().out
    with pytest.raises(FaceError, match="other settings .batch_size: then 32, now 16"):
        course.fit(course.set_up(**SMALL, batch_size=16), pictures, 64, tmp_path)
    with pytest.raises(FaceError, match="other settings .*critic"):
        course.fit(course.set_up(**SMALL), pictures, 64, tmp_path, settings={"critic": 5})


@pytest.mark.parametrize("kept", [True, False])
def test_an_interrupted_training_ends_the_program_and_says_what_is_kept(pictures, tmp_path, kept, capsys):
    own, folder = course.set_up(**SMALL), tmp_path if kept else None
    step = own.discriminator_step

    def interrupting(*args):
        signal.raise_signal(signal.SIGINT)
        return step(*args)

    own.discriminator_step = interrupting
    said = "is kept: the same once more goes on from there" if kept else r"Nothing of this training is kept: .* \(--folder"
    with pytest.raises(FaceError, match=rf"^interrupted after 32 images\. [^\n]*{said}[^\n]*$"):
        course.fit(own, pictures, 64, folder)
    assert "this cell" not in capsys.readouterr().out  # it may be no cell
    run = course.fit(course.set_up(**SMALL), pictures, 64, folder)
    assert run.images == 64 and ("Going on" in capsys.readouterr().out) == kept


def test_fit_counts_whole_epochs_and_says_beforehand_how_many_steps_they_are(pictures):
    own = course.set_up(**SMALL, batch_size=20)
    seen = []

    def loop(run, loader):
        with run:
            for _epoch in run.epochs():
                for images, labels in run.batches(loader):
                    seen.append(len(images))
                    assert labels.tolist() == [0] * len(images) and 0 <= images.min() and images.max() <= 1

    assert course.steps_for(own, pictures, 100) == 8
    run = course.fit(own, pictures, 100, None, loop=loop)  # 1.6 epochs of 64 pictures
    assert sorted(seen) == [4, 4, 20, 20, 20, 20, 20, 20] and run.images == 128
    loader = course.loader_of(own, pictures)
    assert course.fit(own, loader, 1, None, loop=loop).images == 64


class Thirds:
    """A toy game that the notebook knows nothing of: three networks, three optimizers, a schedule, losses of other names."""

    def __init__(self):
        torch.manual_seed(3)
        self.batch_size = 16
        self.there, self.back = nn.Linear(4, 4), nn.Linear(4, 4)
        self.critic = nn.Sequential(nn.Flatten(), nn.Linear(4, 1))
        networks = {"there": self.there, "back": self.back, "critic": self.critic}
        optimizers = {f"{name}_moves": torch.optim.SGD(part.parameters(), 0.01) for name, part in networks.items()}
        self.rate = torch.optim.lr_scheduler.ExponentialLR(optimizers["critic_moves"], 0.5)
        self.parts = networks | optimizers | {"rate": self.rate}
        self.trained = []

    def loop(self, run, loader):
        with run:
            for _epoch in run.epochs():
                for number, (images, _labels) in enumerate(run.batches(loader)):
                    x = images.flatten(1)
                    losses = {"critic_loss": self.critic(self.there(x).detach()).mean() - self.critic(x).mean()}
                    moved = ["critic"]
                    if number % 2:  # the critic moves twice as often as the others
                        losses["cycle_loss"] = (self.back(self.there(x)) - x).square().mean()
                        moved = ["there", "back", "critic"]
                    for name in moved:
                        self.parts[f"{name}_moves"].zero_grad()
                    sum(losses.values()).backward()
                    for name in moved:
                        self.parts[f"{name}_moves"].step()
                    self.trained.append(tuple(moved))
                    run.record(**losses)
                self.rate.step()

    def sample(self):
        with torch.no_grad():
            return self.there(torch.ones(5, 4)).view(5, 1, 2, 2).tanh()  # one channel, 2 x 2

    def fit(self, images, folder, **more):
        grey = torch.arange(64 * 4, dtype=torch.uint8).view(64, 1, 2, 2)
        return course.fit(self, grey, images, folder, loop=self.loop, parts=self.parts, sample=self.sample, **more)


def test_any_game_can_be_trained_shown_kept_and_gone_on_with(tmp_path, capsys):
    first = Thirds()
    run = first.fit(64, tmp_path, trouble=lambda history, snapshots, seen: [f"{len(seen)} looks"])
    assert set(run.history) == {"images", "critic_loss", "cycle_loss"} and run.images == 64
    assert {snapshot.shape for snapshot in run.snapshots} == {(5, 1, 2, 2)}
    assert first.trained == [("critic",), ("there", "back", "critic")] * 2
    assert "looks" in capsys.readouterr().out
    again = Thirds()
    again.fit(128, tmp_path)
    assert again.rate.last_epoch == 2 and again.parts["critic_moves"].param_groups[0]["lr"] == pytest.approx(0.01 / 4)
    whole = Thirds()
    assert whole.fit(128, None).images == 128
    for name in ("there", "back", "critic"):
        for a, b in zip(again.parts[name].parameters(), whole.parts[name].parameters(), strict=True):
            assert torch.equal(a, b)


def test_a_game_without_pictures_keeps_none(tmp_path):
    game = Thirds()
    run = course.fit(game, torch.zeros(32, 1, 2, 2, dtype=torch.uint8), 32, tmp_path, loop=game.loop, parts=game.parts)
    assert run.snapshots == [] and run.images == 32
