"""further/beside.py: a system beside the notebook's recipe, for as many seconds; its table, its picture, its errors."""

import math
from types import SimpleNamespace

import pytest
import torch

from common import FaceError
from further import beside, course, losses

SMALL = {"d_conv_dim": 8, "g_conv_dim": 8, "device": torch.device("cpu")}


def small(steps=None):
    own = course.set_up(**SMALL)
    if steps:
        own.discriminator_step, own.generator_step = steps(own)
    return beside.System(own)


@pytest.fixture(scope="module")
def data():
    pictures = torch.randint(0, 256, (200, 3, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return beside.split(torch.nn.functional.interpolate(pictures, 32))


def given(**others):
    return SimpleNamespace(**{"images": 300, "seeds": [0], "folder": None, "photographs": None} | others)


def test_split_keeps_the_same_quarter_out_every_time():
    pictures = torch.arange(120, dtype=torch.uint8).view(120, 1, 1, 1).expand(120, 3, 32, 32)
    first, second = beside.split(pictures), beside.split(pictures)
    assert len(first.reals) == 30 and len(first.photographs) == 90
    assert torch.equal(first.reals, second.reals)
    assert set(first.reals[:, 0, 0, 0].tolist()).isdisjoint(first.photographs[:, 0, 0, 0].tolist())
    assert len(beside.split(pictures, held_out=10).reals) == 10
    with pytest.raises(FaceError, match="99 faces are too few"):
        beside.split(pictures[:99])


def test_both_train_for_about_as_long_and_the_table_has_a_row_for_each(data, capsys):
    judged = beside.compare({"hinge": lambda: small(losses.hinge)}, data, given(seeds=[0, 1]), base=small)
    rows = [(name, seed) for seed in (0, 1) for name in (beside.NOTEBOOK, "hinge")]
    assert [(one.name, one.seed) for one in judged] == rows
    for one in judged:
        assert one.faces.shape == (50, 3, 32, 32) and one.faces.dtype == torch.uint8 and one.run.images % 150 == 0
    for base, other in (judged[:2], judged[2:]):
        assert base.run.images == 300 and other.run.images >= 150
        assert other.run.limit == base.run.seconds  # a noisy machine may train a little longer or shorter, in epochs of 150
    text = beside.table(judged, data, G_is=lambda one: type(one.system.own.G).__name__)
    lines = text.splitlines()
    assert len(lines) == 7 and all(line.count("|") == lines[0].count("|") for line in lines)
    assert "G is" in lines[0] and lines[3].endswith("| Generator |") and "nan" not in lines[2].split("|")[5]
    beside.picture(judged).canvas.draw()


@pytest.mark.parametrize("pace, epochs", [(1.0, 10), (3.0, 3), (25.0, 1)])
def test_a_training_for_seconds_ends_with_the_nearest_epoch(pace, epochs):
    part = torch.nn.Linear(1, 1)
    run = course.ForSeconds(None, 4, None, {}, part=part)
    run.limit = 10
    with run:
        for epoch in run.epochs():
            run.seconds = pace * (epoch + 1)
    assert run.epoch == run.total == epochs


def test_a_training_for_seconds_that_was_done_is_not_gone_on_with(data, tmp_path):
    def train():
        torch.manual_seed(0)
        return beside.train(small(), data.photographs, 150, tmp_path / "kept", seconds=1e-3)

    first, again = train(), train()
    assert first.images == again.images == 150 and math.isclose(first.seconds, again.seconds)


def test_kept_makes_one_folder_for_each_name(tmp_path):
    assert beside.kept(given(), "x") is None
    assert beside.kept(given(folder=tmp_path), "WGAN-GP, seed 1") == tmp_path / "WGAN_GP__seed_1"


def test_a_training_is_kept_in_a_folder_of_its_name_and_seed(data, tmp_path, capsys):
    one = beside.trained("small", 3, small, data, given(images=150, folder=tmp_path), folder="of {}, seed {}", count=7)
    assert (one.name, one.seed, len(one.faces), one.run.images) == ("small", 3, 7, 150)
    assert [path.name for path in tmp_path.iterdir()] == ["of_small__seed_3"]
    assert beside.done(one)[:3] == ["small", "3", "150"] and "small, seed 3" in capsys.readouterr().out


def test_a_loop_records_what_its_step_returns_for_every_batch(data):
    seen = []

    def step(run, images, labels):
        seen.append((run.step, len(images), len(labels)))
        return {"loss": torch.tensor(float(len(seen)))}

    system = small()._replace(loop=course.loop_of(step))
    run = beside.train(system, data.photographs, 150)
    assert [at for at, *_ in seen] == list(range(len(seen))) and sum(images for _, images, _ in seen) == 150
    assert run.history["loss"][0] >= 1 and all(images == labels for _, images, labels in seen)


def test_a_classifier_is_taught_what_it_is_to_look_at_and_weights_count():
    pictures = torch.cat([torch.full((60, 3, 4, 4), value, dtype=torch.uint8) for value in (40, 200)])
    labels = torch.arange(2).repeat_interleave(60)

    def taught(look, **given):
        torch.manual_seed(0)
        network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 2))
        return beside.taught(network, pictures, labels, look, **given)

    network = taught(lambda some: some / 255 - 0.5, epochs=30)
    assert not network.training and torch.equal(network(pictures / 255 - 0.5).argmax(1), labels)
    blind = taught(lambda some: torch.zeros(len(some), 48), epochs=400, weight=torch.tensor([1.0, 3.0]))
    assert blind(torch.zeros(1, 48)).softmax(1)[0, 1].item() == pytest.approx(0.75, abs=0.05)


def test_panels_stand_in_the_order_given():
    shown = {str(number): torch.zeros(4, 3, 8, 8, dtype=torch.uint8) for number in range(5)}
    figure = beside.panels(beside.sheet(4, 2), shown, across=3, columns=2)
    assert [axis.get_title() for axis in figure.axes] == list("01234")
    places = [axis.get_subplotspec() for axis in figure.axes]
    assert [(place.rowspan.start, place.colspan.start) for place in places] == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)]


def test_main_prints_the_table_and_writes_the_picture(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    def measure(asked):
        assert (asked.images, asked.seeds, asked.size, asked.photographs) == (7, [0, 1], 64, "faces")
        return "| a table |", beside.Figure(figsize=(1, 1))

    beside.main("name", "What it is.\n\nmore", measure, 5, {"--size": {"type": int, "default": 32}},
                ["--images", "7", "faces", "--seeds", "0", "1", "--size", "64"])
    assert "| a table |" in capsys.readouterr().out and (tmp_path / "results/further/name.png").stat().st_size > 100
    assert (tmp_path / "results/further/name.md").read_text() == "| a table |\n"


@pytest.mark.parametrize("arguments, line", [
    (["--images", "0"], "further.name: --images is 0: give a whole number, 1 or more."),
    (["nowhere"], "further.name: nowhere"),
])
def test_bad_input_is_one_line(arguments, line, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stopped:
        beside.main("name", "What it is.", lambda asked: beside.faces(asked), 5, arguments=arguments)
    assert str(stopped.value).startswith(line) and "\n" not in str(stopped.value)
