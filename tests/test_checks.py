"""The checks judged: every answer in the tables gets its verdict, in words that help, and nothing is left behind."""

import base64
import io
import json
import os
import random
import re
import subprocess
import sys
import traceback
import warnings
from pathlib import Path

import answers_data
import answers_further
import answers_kinds
import answers_networks
import answers_steps
import answers_training
import nbformat
import numpy as np
import pytest
import torch
from answers_networks import EarlierD, EarlierG, SigmoidD, SizedG
from answers_training import d_step, fake_logits, g_step, real_logits
from PIL import Image

import problem_unittests as tests
from further import best, course

ROOT = Path(tests.__file__).parent
TABLES = [
    answers_data.loaders,
    answers_data.scales,
    answers_networks.discriminators,
    answers_networks.generators,
    answers_networks.initials,
    answers_kinds.discriminators,
    answers_kinds.generators,
    answers_training.losses,
    answers_training.optimizers,
    answers_training.steps,
    answers_steps.steps,
    answers_further.losses,
    answers_further.optimizers,
    answers_further.initials,
]
ANSWERS = [
    pytest.param(getattr(tests, table.check), answer, table.aside, id=f"{table.check}: {answer.name}")
    for table in TABLES
    for answer in table
]


@pytest.mark.parametrize("check, answer, aside", ANSWERS)
def test_verdict(check, answer, aside, capsys):
    if answer.verdict == "sound":
        check(*answer.args)
        said = capsys.readouterr().out
        assert said.splitlines()[0] == "Tests Passed"
        advice = [" ".join(line.split()) for line in said.split("\nAdvice: ")[1:]]
        if answer.says:
            assert any(answer.says in line for line in advice), said
        else:
            assert not [line for line in advice if not any(words in line for words in aside)], said
        return
    with pytest.raises(AssertionError) as failure:
        check(*answer.args)
    assert "Tests Passed" not in capsys.readouterr().out
    text = assert_well_worded(failure.value)
    assert answer.says in text
    assert ("not begun" in text) == (answer.verdict == "not begun")


def assert_well_worded(failure):
    """Four parts in their order, 3 to 8 lines of plain text, no tensor dump, and the learner's line where it crashed.

    Returns: the text in one line.
    """
    text = str(failure)
    labels = re.findall(r"^(Expected|Got|Why it matters|Where to look): \S", text, flags=re.MULTILINE)
    assert labels == ["Expected", "Got", "Why it matters", "Where to look"]
    assert 3 <= len(text.splitlines()) <= 8, text
    assert max(map(len, text.splitlines())) <= 120
    assert not re.search(r"tensor\(\[|\[\[|\n\n|Traceback", text)
    if failure.__cause__ is not None:
        frames = [
            frame for frame in traceback.extract_tb(failure.__cause__.__traceback__) if "answers" in frame.filename
        ]
        if frames:
            assert f"line {frames[-1].lineno}, in {frames[-1].name}" in text
            assert " ".join(frames[-1].line.split()) in " ".join(text.split())
    return " ".join(text.split())


def test_only_the_verdict_is_in_the_traceback():
    def scale(x, feature_range=(-1, 1)):
        return x.no_such_method()

    with pytest.raises(AssertionError) as failure:
        tests.test_scale(scale)
    own = [frame for frame in traceback.extract_tb(failure.value.__traceback__) if frame.filename == tests.__file__]
    assert len(own) == 1  # the frame that raises
    assert isinstance(failure.value.__cause__, AttributeError)
    assert [frame.name for frame in traceback.extract_tb(failure.value.__cause__.__traceback__)] == ["scale"]


def test_advice_comes_after_the_verdict(capsys):
    tests.test_training_steps(d_step, answers_training.g_returns_graph)
    first, *rest = capsys.readouterr().out.splitlines()
    assert first == "Tests Passed"
    assert rest[0].startswith("Advice: ")


# Leaving no trace


def everything(*modules):
    """All the state that a check could change, as plain values."""
    state = {
        "torch": torch.get_rng_state().tolist(),
        "numpy": str(np.random.get_state()),
        "python": random.getstate(),
        "dtype": torch.get_default_dtype(),
        "device": torch.get_default_device(),
        "grad": torch.is_grad_enabled(),
        "threads": torch.get_num_threads(),
        "filters": list(warnings.filters),
        "environment": dict(os.environ),
        "files": sorted(str(path) for path in Path.cwd().rglob("*")),
    }
    for number, module in enumerate(modules):
        state[number] = [(key, value.tolist()) for key, value in module.state_dict().items()]
        state[number, "grad"] = [None if p.grad is None else p.grad.tolist() for p in module.parameters()]
        state[number, "flags"] = [p.requires_grad for p in module.parameters()] + [m.training for m in module.modules()]
    return state


def rude(function):
    """The same answer, which besides changes every global setting that there is."""

    def answer(*args, **kwargs):
        torch.manual_seed(1)
        np.random.seed(1)
        random.seed(1)
        result = function(*args, **kwargs)
        torch.set_grad_enabled(False)
        torch.set_default_dtype(torch.float64)
        warnings.simplefilter("error")
        return result

    return answer


@pytest.mark.parametrize("manners", [lambda function: function, rude], ids=["polite", "rude"])
def test_no_trace(manners, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    D, G = EarlierD(8), SizedG(20, 8)
    for network, x in ((D, torch.rand(2, 3, 32, 32)), (G, torch.rand(2, 20))):
        network(x).sum().backward()
    D.eval(), G.deconv1.eval(), G.fc.requires_grad_(False)
    d_optimizer, g_optimizer = torch.optim.Adam(D.parameters(), 0.0002), torch.optim.Adam(G.parameters(), 0.0002)
    before = everything(D, G), str(d_optimizer.state_dict()), str(g_optimizer.state_dict())
    calls = [
        (tests.test_get_dataloader, answers_data.plain),
        (tests.test_scale, answers_data.min_max_names),
        (tests.test_discriminator, EarlierD),
        (tests.test_generator, SizedG),
        (tests.test_weights_init, answers_networks.by_name),
        (tests.test_losses, real_logits, fake_logits, D),
        (tests.test_training_steps, d_step, g_step, D, G),
    ]
    for check, function, *others in calls:
        try:
            check(manners(function), *others)
        except AssertionError:
            assert manners is rude  # seeds inside a step, no gradients: such an answer may well fail
        assert (everything(D, G), *before[1:]) == before, check.__name__
    tests.test_optimizers(d_optimizer, g_optimizer, D, G)
    tests.rubric_report(
        D=D,
        G=G,
        d_optimizer=d_optimizer,
        g_optimizer=g_optimizer,
        discriminator_step=d_step,
        generator_step=g_step,
        real_loss=real_logits,
        fake_loss=fake_logits,
    )
    assert (everything(D, G), str(d_optimizer.state_dict()), str(g_optimizer.state_dict())) == before


def test_the_same_answer_gets_the_same_verdict(capsys):
    for seed in range(3):
        torch.manual_seed(seed)
        tests.test_discriminator(answers_networks.EarlierDropoutD)
        tests.test_losses(answers_training.noisy(0.7, 1.2), fake_logits, EarlierD(16))
        tests.test_training_steps(answers_training.d_mirrored, g_step)


# The rubric report


def mode_difference(G, z, one, other, training):
    G.train(training)
    with torch.no_grad():
        first, second = (G(torch.cat([z, rest]))[: len(z)] for rest in (one, other))
    return (first - second).abs().mean().item()


def solved():
    """All that the report asks for, from small networks: some lines are met, some are not."""
    D, G = EarlierD(16), SizedG(20, 16)
    return {
        "get_dataloader": answers_data.plain,
        "scale": answers_data.min_max_names,
        "D": D,
        "G": G,
        "weights_init_normal": answers_networks.by_name,
        "real_loss": real_logits,
        "fake_loss": fake_logits,
        "d_optimizer": torch.optim.Adam(D.parameters(), 0.0002, (0.3, 0.999)),
        "g_optimizer": torch.optim.Adam(G.parameters(), 0.0002, (0.3, 0.999)),
        "discriminator_step": d_step,
        "generator_step": g_step,
        "mode_difference": mode_difference,
        "history": {"images": [64, 128], "d_loss": [1.4, 1.2], "g_loss": [0.7, 0.9]},
        "samples": [torch.zeros(4, 3, 32, 32), torch.ones(4, 3, 32, 32)],
        "real_images": torch.rand(16, 3, 32, 32),
        "fake_images": torch.rand(16, 3, 32, 32) * 2 - 1,
    }


def verdicts(report):
    return {asked: verdict for _, asked, verdict, _ in report.lines}


def test_rubric_of_a_solved_notebook():
    report = tests.rubric_report(**solved())
    unmet = {asked for asked, verdict in verdicts(report).items() if verdict == "not met"}
    assert {words.split(",")[0] for words in unmet} == {
        "dropout at a low probability",
        "deeper than the discriminator by two layers or more",
        "transposed convolutions",
        "a loss for real and one for fake",
    }
    assert list(verdicts(report).values()).count("a person decides") == 5  # three of them answers in writing
    page = report._repr_html_()
    assert page.count("<tr>") == len(report.lines) and "data:image/png;base64," in page
    assert all(asked in str(report).replace("\n" + 18 * " ", " ") for asked in verdicts(report))
    assert max(map(len, str(report).splitlines())) <= 120


def test_rubric_and_check_judge_the_rate_that_a_schedule_began_with(capsys):
    given = solved()
    schedule = torch.optim.lr_scheduler.LinearLR(given["d_optimizer"], 1.0, 0.0, total_iters=1)
    given["g_optimizer"] = torch.optim.Adam(given["G"].parameters(), 0.0002, (0.3, 0.999), fused=True)
    best.Falling(1, given["g_optimizer"])
    for step in (given["d_optimizer"].step, schedule.step, given["g_optimizer"].step, given["g_optimizer"].step):
        step()
    assert given["d_optimizer"].param_groups[0]["lr"] == given["g_optimizer"].param_groups[0]["lr"] == 0
    tests.test_optimizers(*(given[name] for name in ("d_optimizer", "g_optimizer", "D", "G")))
    assert "Tests Passed" in capsys.readouterr().out
    assert verdicts(tests.rubric_report(**given)) == verdicts(tests.rubric_report(**solved()))


def sound(check):
    """The sound answers to one exercise, for a test that gets each by its name."""
    return [
        pytest.param(answer.args, id=answer.name)
        for table in TABLES
        if table.check == check
        for answer in table
        if answer.verdict == "sound"
    ]


def assert_advised(said, given, *parts):
    """Every line of the rubric in these parts that is not met has its words in what the check said."""
    said = " ".join(said.split())
    for part, asked, verdict, note in tests.rubric_report(**given).lines:
        of_losses = part == "Discriminator" and asked == tests._ASKED["value"]  # a matter of their check
        if part in parts and "was given no" not in note and verdict == "not met" and not of_losses:
            assert asked in said, note


@pytest.mark.parametrize("args", sound("test_discriminator"))
def test_rubric_and_check_of_d_agree(args, capsys):
    tests.test_discriminator(*args)
    size = args[1] if len(args) > 1 else 32
    build = args[0] if size == 32 or not tests._names(args[0], "image_size") else lambda c: args[0](c, image_size=size)
    given = {"D": build(16)} | ({"real_loss": args[2]} if len(args) > 2 else {})
    given["D"](torch.zeros(2, 3, size, size))  # lazy layers get their sizes
    assert_advised(capsys.readouterr().out, given, "Discriminator")


@pytest.mark.parametrize("args", sound("test_generator"))
def test_rubric_and_check_of_g_agree(args, capsys):
    D = args[1] if len(args) > 1 and args[1] else answers_kinds.FullD
    if len(args) > 2:
        pytest.skip("at 64 x 64 the layers are more, the advice the same")
    tests.test_generator(args[0], D)
    G = args[0](20, 16)
    G.z_size = 20
    G(torch.zeros(2, 20))  # lazy layers get their sizes
    assert_advised(capsys.readouterr().out, {"G": G, "D": D(16)}, "Generator")


@pytest.mark.parametrize("args", sound("test_losses"))
def test_rubric_and_check_of_losses_agree(args, capsys):
    real_loss, fake_loss, D = (*args, answers_training.LOGITS_D)[:3]
    try:
        tests.test_losses(real_loss, fake_loss, D)
    except AssertionError:
        pytest.skip("losses for a D that ends in a sigmoid")
    given = {"D": D, "real_loss": real_loss, "fake_loss": fake_loss}
    said = capsys.readouterr().out
    assert_advised(said, given, "Training")
    lines = [line for line in tests.rubric_report(**given).lines if line[1] == tests._ASKED["value"]]
    assert lines[0][2] == "met" or lines[0][1] in " ".join(said.split())


@pytest.mark.parametrize("args", sound("test_optimizers"))
def test_rubric_and_check_of_optimizers_agree(args, capsys):
    tests.test_optimizers(*args)
    given = dict(zip(("d_optimizer", "g_optimizer", "D", "G"), args, strict=True))
    assert_advised(capsys.readouterr().out, given, "Training")


def test_rubric_asks_for_smoothing():
    given = solved()
    assert verdicts(tests.rubric_report(**given))[tests._ASKED["smoothing"]] == "not met"
    given["real_loss"] = answers_further.SMOOTH
    assert verdicts(tests.rubric_report(**given))[tests._ASKED["smoothing"]] == "met"


def test_rubric_lets_a_person_decide_on_a_critic():
    given = solved() | {"D": answers_kinds.CriticD(16), "real_loss": answers_kinds.wasserstein}
    assert verdicts(tests.rubric_report(**given))[tests._ASKED["norm"]] == "a person decides"


# Pictures of other sizes, and networks under torch.compile


@pytest.mark.parametrize("size", [64, 128])
def test_larger_pictures(size, capsys):
    given = solved()
    D, G = answers_kinds.AnySizeD(8, size), answers_kinds.AnySizeG(20, 8, size)
    tests.test_losses(answers_further.SMOOTH, fake_logits, D)
    tests.test_training_steps(answers_steps.D_STEP, answers_steps.G_STEP, D, G)
    assert capsys.readouterr().out == "Tests Passed\nTests Passed\n"
    given.update(
        D=D,
        G=G,
        d_optimizer=torch.optim.Adam(D.parameters(), 0.0002, (0.3, 0.999)),
        g_optimizer=torch.optim.Adam(G.parameters(), 0.0002, (0.3, 0.999)),
        real_loss=answers_further.SMOOTH,
        real_images=torch.rand(16, 3, size, size),
    )
    report = tests.rubric_report(**given)
    assert "not met" not in verdicts(report).values(), report


def test_compiled_networks_are_judged_underneath(capfd):
    D, G = torch.compile(answers_kinds.FullD(8)), torch.compile(SizedG(20, 8))
    tests.test_losses(answers_further.SMOOTH, fake_logits, D)
    tests.test_training_steps(answers_steps.D_STEP, answers_steps.G_STEP, D, G)
    tests.test_training_steps(torch.compile(answers_steps.D_STEP), torch.compile(answers_steps.G_STEP), D, G)
    out, err = capfd.readouterr()
    assert out == 3 * "Tests Passed\n" and not err
    assert verdicts(tests.rubric_report(D=D, G=G)) == verdicts(tests.rubric_report(D=D._orig_mod, G=G._orig_mod))


@pytest.mark.parametrize("absent", [*solved(), "all"])
def test_rubric_says_what_is_missing(absent):
    given = {name: value for name, value in solved().items() if absent not in (name, "all")}
    report = tests.rubric_report(**given)
    lines = [(verdict, note) for part, _, verdict, note in report.lines
             if f"no {absent}" in note or absent == "all" and part != "Analysis"]
    assert lines
    assert {verdict for verdict, _ in lines} == {"not met"}
    assert report._repr_html_()


@pytest.mark.parametrize("odd", [0, "text", [], {}, torch.zeros(3), lambda *args: None, object()],
                         ids=["number", "text", "list", "dict", "tensor", "function", "object"])
def test_rubric_never_raises(odd):
    report = tests.rubric_report(**dict.fromkeys(solved(), odd))
    assert set(verdicts(report).values()) <= {"not met", "a person decides"}
    assert str(report) and report._repr_html_()


def test_rubric_escapes_what_it_shows():
    def scale(x, feature_range=(-1, 1)):
        raise ValueError("<script>")

    assert "<script>" not in tests.rubric_report(scale=scale)._repr_html_()


def picture_in(page):
    """The one picture in a saved page."""
    code, = re.findall('base64,([^"]*)"', page.read_text(encoding="utf-8"))
    return Image.open(io.BytesIO(base64.b64decode(code)))


def test_a_saved_report_says_what_the_shown_one_says(tmp_path):
    report = tests.rubric_report(**solved())
    page, data = report.save(tmp_path / "a" / "new folder")
    assert [path.name for path in (page, data)] == ["report.html", "report.json"]
    assert report._repr_html_() in page.read_text(encoding="utf-8")
    saved = json.loads(data.read_text(encoding="utf-8"))
    assert [tuple(line.values()) for line in saved["lines"]] == [tuple(line) for line in report.lines]
    assert saved["summary"] == report._count()
    report.save(page.parent)  # once more, over the first


def test_without_photographs_the_page_shows_the_generated_row_alone(tmp_path):
    report = tests.rubric_report(**solved())
    both, alone = (picture_in(report.save(tmp_path / name, name == "both")[0]) for name in ("both", "alone"))
    assert (both.width, both.height) == (alone.width, 2 * alone.height)
    assert both.crop((0, alone.height, *both.size)).tobytes() == alone.tobytes()
    assert "Above" not in (tmp_path / "alone" / "report.html").read_text(encoding="utf-8")


def test_a_saved_report_holds_no_path_of_its_writer(tmp_path, monkeypatch):
    home = tmp_path / "jane.doe"
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))
    lines = [("Data", "asked", "not met", f"FileNotFoundError: {home / 'faces'}, {Path.cwd() / 'faces'}")]
    for path in tests.RubricReport(lines).save(tmp_path / "saved"):
        told = path.read_text(encoding="utf-8")
        assert "jane" not in told and str(Path.cwd()) not in told and "~" in told


# The notebook: its own solutions pass, each fault planted in them is caught


def code_cells(path=ROOT / "face_generation.ipynb"):
    """The sources of the notebook's code cells, without lines for Jupyter alone."""
    cells = (cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code")
    return ["\n".join(line for line in source.splitlines() if not line.startswith("%")) for source in cells]


@pytest.fixture(scope="module")
def notebook():
    return vars(course.load())


NOTEBOOK_CHECKS = {
    "def get_dataloader": lambda names: tests.test_get_dataloader(names["get_dataloader"]),
    "def scale": lambda names: tests.test_scale(names["scale"]),
    "class Discriminator": lambda names: tests.test_discriminator(names["Discriminator"]),
    "class Generator": lambda names: tests.test_generator(names["Generator"], names["Discriminator"]),
    "def weights_init_normal": lambda names: tests.test_weights_init(names["weights_init_normal"]),
    "def real_loss": lambda names: tests.test_losses(names["real_loss"], names["fake_loss"], names["D"]),
    "d_optimizer = ": lambda names: tests.test_optimizers(
        names["d_optimizer"], names["g_optimizer"], names["D"], names["G"]
    ),
    "def discriminator_step": lambda names: tests.test_training_steps(
        names["discriminator_step"], names["generator_step"], names["D"], names["G"]
    ),
    "def generator_step": lambda names: tests.test_training_steps(
        names["discriminator_step"], names["generator_step"], names["D"], names["G"]
    ),
}

RESIZE, TO_TENSOR = "transforms.Resize((image_size, image_size)", "transforms.ToTensor()"
SCALED, LAST_OF_D, LAYERS_OF_D = "low + x * (high - low)", "nn.Conv2d(channels, 1, 4)", "self.layers(x).flatten(1)"
FROM_Z, DRAWN, KINDS = (
    "z[:, :, None, None]",
    "nn.init.normal_(m.weight, mean=0.0, std=0.02)",
    "(nn.Conv2d, nn.ConvTranspose2d, nn.Linear)",
)
REAL, FAKE = "torch.full_like(D_out, 0.9)", "torch.zeros_like(D_out)"
D_LOSS, G_LOSS = "real_loss(D(scale(real_images))) + fake_loss(D(fake_images.detach()))", "real_loss(D(fake_images))"
D_DRAWS, G_DRAWS = (
    "random_z(len(real_images), G.z_size, real_images.device)",
    "random_z(batch_size, G.z_size, next(G.parameters()).device)",
)

FAULTS = [  # the cell, the fault, what is written in place of what
    ("def get_dataloader", "no resize", {RESIZE: "transforms.Resize((64, 64)"}),
    ("def get_dataloader", "fixed size", {RESIZE: "transforms.Resize((32, 32)"}),
    ("def get_dataloader", "crop only", {"Compose([square": "Compose([transforms.CenterCrop(image_size)"}),
    ("def get_dataloader", "no shuffle", {"shuffle=True": "shuffle=False"}),
    ("def get_dataloader", "fixed batch size", {"batch_size=batch_size": "batch_size=64"}),
    ("def get_dataloader", "data_dir ignored", {"ImageFolder(data_dir": 'ImageFolder("no_such_folder/"'}),
    ("def get_dataloader", "grey", {TO_TENSOR: f"transforms.Grayscale(), {TO_TENSOR}"}),
    ("def get_dataloader", "already scaled", {TO_TENSOR: f"{TO_TENSOR}, transforms.Normalize((0.5,) * 3, (0.5,) * 3)"}),
    ("def get_dataloader", "bytes", {TO_TENSOR: "transforms.PILToTensor()"}),
    ("def get_dataloader", "a dataset", {"return ": "return faces or "}),
    ("def get_dataloader", "nothing returned", {"return ": ""}),
    ("def scale", "identity", {SCALED: "x"}),
    ("def scale", "range ignored", {SCALED: "x * 2 - 1"}),
    ("def scale", "wrong order", {SCALED: "high - x * (high - low)"}),
    ("def scale", "own limits", {SCALED: "low + (x - x.min()) / (x.max() - x.min()) * (high - low)"}),
    ("def scale", "0 to 255", {SCALED: "low + x / 255 * (high - low)"}),
    ("def scale", "in place", {SCALED: "x.mul_(high - low).add_(low)"}),
    ("class Discriminator", "two values", {LAST_OF_D: "nn.Conv2d(channels, 2, 4)"}),
    ("class Discriminator", "a map of values", {".flatten(1)": ""}),
    ("class Discriminator", "softmax", {LAST_OF_D: f"{LAST_OF_D}, nn.Softmax(1)"}),
    ("class Discriminator", "average pooling", {LAST_OF_D: "nn.AdaptiveAvgPool2d(1), nn.Conv2d(channels, 1, 1)"}),
    ("class Discriminator", "max pooling", {LAST_OF_D: "nn.MaxPool2d(2), nn.Conv2d(channels, 1, 2)"}),
    (
        "class Discriminator",
        "conv_dim ignored",
        {"self.layers =": "conv_dim = 16; self.layers =", "super().__init__()": "super().__init__(); conv_dim = 16"},
    ),
    ("class Discriminator", "detached", {LAYERS_OF_D: f"{LAYERS_OF_D}.detach()"}),
    ("class Discriminator", "constant", {LAYERS_OF_D: f"0 * {LAYERS_OF_D}"}),
    ("class Discriminator", "neighbours", {LAYERS_OF_D: "(self.layers(x) - self.layers(x).mean()).flatten(1)"}),
    ("class Discriminator", "fixed batch size", {LAYERS_OF_D: "self.layers(x).view(64, 1)"}),
    (
        "class Discriminator",
        "layers in a list",
        {"nn.Sequential(*layers)": "[nn.Sequential(*layers)]", "self.layers(x)": "self.layers[0](x)"},
    ),
    ("class Generator", "no tanh", {", nn.Tanh()": ""}),
    ("class Generator", "sigmoid", {"nn.Tanh()": "nn.Sigmoid()"}),
    ("class Generator", "saturated", {f"self.layers({FROM_Z})": f"torch.tanh(1e5 * self.layers({FROM_Z}))"}),
    ("class Generator", "grey", {"nn.Conv2d(channels, 3,": "nn.Conv2d(channels, 1,"}),
    ("class Generator", "half the size", {"while size < image_size": "while size < image_size // 2"}),
    ("class Generator", "z ignored", {FROM_Z: f"torch.ones_like({FROM_Z})"}),
    ("class Generator", "z redrawn", {FROM_Z: f"torch.randn_like({FROM_Z})"}),
    ("class Generator", "fixed batch size", {FROM_Z: "z.view(64, -1, 1, 1)"}),
    ("class Generator", "conv_dim ignored", {"super().__init__()": "super().__init__(); conv_dim = 16"}),
    ("def weights_init_normal", "std", {"std=0.02": "std=0.2"}),
    ("def weights_init_normal", "mean", {"mean=0.0": "mean=0.02"}),
    ("def weights_init_normal", "uniform", {DRAWN: "nn.init.uniform_(m.weight, -0.0346, 0.0346)"}),
    ("def weights_init_normal", "transposed layers forgotten", {KINDS: "(nn.Conv2d, nn.Linear)"}),
    ("def weights_init_normal", "linear layers forgotten", {KINDS: "(nn.Conv2d, nn.ConvTranspose2d)"}),
    ("def weights_init_normal", "BatchNorm too", {KINDS: "(nn.Conv2d, nn.ConvTranspose2d, nn.Linear, nn.BatchNorm2d)"}),
    ("def weights_init_normal", "biases are noise", {"nn.init.zeros_(m.bias)": "nn.init.normal_(m.bias, 0, 0.02)"}),
    ("def weights_init_normal", "a bias everywhere", {"if m.bias is not None:": "if True:"}),
    (
        "def weights_init_normal",
        "nothing written",
        {DRAWN: "torch.randn_like(m.weight)", "nn.init.zeros_(m.bias)": "pass"},
    ),
    ("def real_loss", "swapped", {REAL: FAKE, FAKE: REAL}),
    ("def real_loss", "label 1 twice", {FAKE: REAL}),
    ("def real_loss", "label 0 twice", {REAL: FAKE}),
    ("def real_loss", "sign", {"return ": "return -"}),
    ("def real_loss", "smoothed fakes", {FAKE: "torch.full_like(D_out, 0.1)"}),
    ("def real_loss", "not a scalar", {"D_out, torch": "reduction='none', input=D_out, target=torch"}),
    ("def real_loss", "no gradient", {"logits(D_out": "logits(D_out.detach()"}),
    ("def real_loss", "fixed batch size", {REAL: "torch.ones(64, 1)"}),
    (
        "def real_loss",
        "(N, 1) against (N,)",
        {f"binary_cross_entropy_with_logits(D_out, {REAL})": "mse_loss(D_out, torch.ones(len(D_out)))"},
    ),
    ("def real_loss", "probabilities asked of logits", {"binary_cross_entropy_with_logits": "binary_cross_entropy"}),
    ("d_optimizer = ", "both over D", {"G.parameters()": "D.parameters()"}),
    ("d_optimizer = ", "swapped", {"D.parameters()": "G.parameters()", "G.parameters()": "D.parameters()"}),
    ("d_optimizer = ", "a part of D", {"D.parameters()": "list(D.parameters())[:2]"}),
    ("d_optimizer = ", "an old D", {"D.parameters()": "Discriminator(8).parameters()"}),
    ("d_optimizer = ", "both in one", {"D.parameters()": "[*D.parameters(), *G.parameters()]"}),
    ("d_optimizer = ", "lr 0", {"0.0004": "0.0"}),
    ("d_optimizer = ", "lr 1", {"0.0004": "1.0"}),
    ("def discriminator_step", "not scaled", {"scale(real_images)": "real_images"}),
    ("def discriminator_step", "scaled twice", {"scale(real_images)": "scale(scale(real_images))"}),
    ("def discriminator_step", "D: zero_grad missing", {"d_optimizer.zero_grad()": "pass"}),
    ("def discriminator_step", "D: step missing", {"d_optimizer.step()": "pass"}),
    (
        "def discriminator_step",
        "D: out of order",
        {"d_optimizer.zero_grad()": "pass", "d_optimizer.step()": "d_optimizer.zero_grad(); d_optimizer.step()"},
    ),
    ("def discriminator_step", "only reals", {D_LOSS: "real_loss(D(scale(real_images)))"}),
    ("def discriminator_step", "only fakes", {D_LOSS: "fake_loss(D(fake_images.detach()))"}),
    (
        "def discriminator_step",
        "labels swapped",
        {D_LOSS: "fake_loss(D(scale(real_images))) + real_loss(D(fake_images.detach()))"},
    ),
    ("def discriminator_step", "D: fixed batch size", {D_DRAWS: "random_z(64, G.z_size, real_images.device)"}),
    ("def discriminator_step", "D: the same z", {D_DRAWS: "torch.ones(len(real_images), G.z_size)"}),
    ("def discriminator_step", "left in eval mode", {"d_optimizer.step()": "d_optimizer.step(); D.eval()"}),
    ("def discriminator_step", "D: given fakes not detached", {"fake_images.detach()": "fake_images"}),
    ("def generator_step", "G: zero_grad missing", {"g_optimizer.zero_grad()": "pass"}),
    ("def generator_step", "G: step missing", {"g_optimizer.step()": "pass"}),
    ("def generator_step", "G: wrong label", {f"loss = {G_LOSS}": "loss = fake_loss(D(fake_images))"}),
    ("def generator_step", "G: detached", {f"loss = {G_LOSS}": "loss = real_loss(D(fake_images.detach()))"}),
    ("def generator_step", "G: fixed batch size", {G_DRAWS: "random_z(64, G.z_size, next(G.parameters()).device)"}),
    ("def generator_step", "G: the same z", {G_DRAWS: "torch.ones(batch_size, G.z_size)"}),
    (
        "def generator_step",
        "G's step moves D",
        {
            "g_optimizer.step()": "g_optimizer.step(); torch.optim.SGD(D.parameters(), 1.0).step()",
            "loss.backward(inputs=list(G.parameters()))": "loss.backward()",
        },
    ),
    (
        "def discriminator_step",
        "D's step moves G",
        {
            "d_optimizer.step()": "d_optimizer.step(); torch.optim.SGD(G.parameters(), 1.0).step()",
            "fake_images.detach()": "fake_images",
        },
    ),
]


def planted(source, changes):
    """The source with each change made, all at once, so that two can be swapped."""
    for old in changes:
        assert old in source, f"the notebook no longer says {old!r}"
    pattern = "|".join(re.escape(old) for old in sorted(changes, key=len, reverse=True))
    rewritten = re.sub(pattern, lambda match: changes[match.group()], source)
    assert rewritten != source
    return rewritten


def exercise(marker):
    """The source of the notebook's cell that holds an exercise with its solution."""
    (source,) = [source for source in code_cells() if marker in source and "BEGIN SOLUTION" in source]
    return source


def run_exercise(notebook, marker, source):
    """Run an exercise's cell among all that the notebook defines, and then its check."""
    torch.manual_seed(0)
    names = dict(notebook)
    names["D"], names["G"] = names["build_network"](16, 16, 100)
    exec(compile(source, "a cell", "exec"), names)
    NOTEBOOK_CHECKS[marker](names)


@pytest.mark.parametrize("marker", NOTEBOOK_CHECKS)
def test_the_notebooks_own_solution_passes(notebook, marker, capsys):
    run_exercise(notebook, marker, exercise(marker))
    assert capsys.readouterr().out.startswith("Tests Passed\n")


@pytest.mark.parametrize(
    "marker, changes", [pytest.param(marker, changes, id=f"{marker}: {fault}") for marker, fault, changes in FAULTS]
)
def test_a_fault_planted_in_the_notebook_is_caught(notebook, marker, changes):
    source = planted(exercise(marker), changes)
    with pytest.raises(AssertionError) as failure:
        run_exercise(notebook, marker, source)
    assert_well_worded(failure.value)


# The comparison of the two modes


def unset(G, z, one, other, training):
    with torch.no_grad():
        first, second = (G(torch.cat([z, rest]))[: len(z)] for rest in (one, other))
    return (first - second).abs().mean().item()


def always_eval(G, z, one, other, training):
    return unset(G.eval(), z, one, other, training)


def whole_batch(G, z, one, other, training):
    G.train(training)
    return (G(torch.cat([z, one])) - G(torch.cat([z, other]))).abs().mean().item()


def squared(G, z, one, other, training):
    return mode_difference(G, z, one, other, training) ** 2


def no_return(G, z, one, other, training):
    mode_difference(G, z, one, other, training)


def every_pixel(G, z, one, other, training):
    G.train(training)
    return (G(torch.cat([z, one])) - G(torch.cat([z, other])))[: len(z)].abs()


@pytest.mark.parametrize("answer, says", [
    (unset, "G.train(training), before the faces are made"), (always_eval, "uses the batch at hand"),
    (whole_batch, "the first len(z) of each batch"), (squared, "another measure"), (no_return, "None."),
    (every_pixel, "a mean over all pixels is one number"),
])
def test_a_wrong_comparison_of_modes_is_told_what_is_wrong(answer, says):
    with pytest.raises(AssertionError) as failure:
        tests.test_mode_difference(answer)
    assert says in assert_well_worded(failure.value)


def test_a_sound_comparison_of_modes_passes(capsys):
    tests.test_mode_difference(mode_difference)
    assert capsys.readouterr().out == "Tests Passed\n"


# The student edition


@pytest.fixture(scope="module")
def student_edition(tmp_path_factory):
    """The notebook without its solutions, written by the command in README.md."""
    folder = tmp_path_factory.mktemp("student")
    command = [
        "nbconvert",
        "face_generation.ipynb",
        "--to",
        "notebook",
        "--output",
        "student.ipynb",
        "--output-dir",
        str(folder),
        "--Exporter.preprocessors=nbgrader.preprocessors.ClearSolutions",
        "--ClearSolutions.enforce_metadata=False",
        "--ClearOutputPreprocessor.enabled=True",
    ]
    subprocess.run([sys.executable, "-m", "jupyter", *command], cwd=ROOT, check=True, capture_output=True)
    return folder / "student.ipynb"


STUB = re.compile(r"^( *)# YOUR CODE HERE\n *raise NotImplementedError\(\)$", re.MULTILINE)
SOLUTION = re.compile(r"^ *### BEGIN SOLUTION\n(.*?)\n *### END SOLUTION$", re.MULTILINE | re.DOTALL)


def verdicts_of(sources, monkeypatch, tmp_path, capsys):
    """Run the cells up to the last check on a small folder of pictures. Returns: for each check "passed" or its failure."""
    faces = tmp_path / "faces" / "all"
    faces.mkdir(parents=True)
    for number in range(80):
        Image.effect_noise((64, 64), 80).save(faces / f"{number}.jpg")
    monkeypatch.setenv("FACE_DATA", str(faces.parent))
    monkeypatch.setenv("MPLBACKEND", "agg")
    monkeypatch.chdir(tmp_path)
    names, found = {"__name__": "student"}, []
    last = max(i for i, source in enumerate(sources) if "tests.test_" in source)
    for number, source in enumerate(sources[: last + 1]):
        capsys.readouterr()
        try:
            exec(compile(source, f"cell {number}", "exec"), names)
        except Exception as error:
            if "tests.test_" in source:
                found.append(error)
        else:
            if "tests.test_" in source:
                assert capsys.readouterr().out.startswith("Tests Passed\n"), source
                found.append("passed")
    return found


def test_student_edition_fails_kindly(student_edition, monkeypatch, tmp_path, capsys):
    text = student_edition.read_text(encoding="utf-8")
    assert "SOLUTION" not in text
    assert not any(cell.get("outputs") for cell in nbformat.reads(text, as_version=4).cells)
    found = verdicts_of(code_cells(student_edition), monkeypatch, tmp_path, capsys)
    assert len(found) == 9
    for failure in found:
        assert isinstance(failure, AssertionError), failure
        assert "not begun yet" in assert_well_worded(failure)


def test_student_edition_with_the_solutions_put_back_passes(student_edition, monkeypatch, tmp_path, capsys):
    restored = []
    for student, teacher in zip(code_cells(student_edition), code_cells(), strict=True):
        solutions = SOLUTION.findall(teacher)
        assert len(solutions) == len(STUB.findall(student))
        for solution in solutions:
            student = STUB.sub(solution.replace("\\", r"\\"), student, count=1)
        restored.append(student)
        assert student == re.sub(r"^ *### (BEGIN|END) SOLUTION\n?", "", teacher, flags=re.MULTILINE).rstrip("\n")
    assert verdicts_of(restored, monkeypatch, tmp_path, capsys) == 9 * ["passed"]


# On a GPU


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
class TestCuda:
    """Networks on the GPU, and answers that make their labels and z there."""

    @staticmethod
    def real_loss(D_out):
        return torch.nn.functional.binary_cross_entropy_with_logits(D_out, torch.ones(len(D_out), 1).cuda())

    @staticmethod
    def fake_loss(D_out):
        return torch.nn.functional.binary_cross_entropy_with_logits(D_out, torch.zeros(len(D_out), 1).cuda())

    @staticmethod
    def discriminator_step(D, G, real_images, d_optimizer):
        d_optimizer.zero_grad()
        fakes = G(torch.randn(len(real_images), G.z_size).cuda())
        loss = TestCuda.real_loss(D(real_images.cuda() * 2 - 1)) + TestCuda.fake_loss(D(fakes))
        loss.backward()
        d_optimizer.step()
        return loss.item()

    @staticmethod
    def generator_step(D, G, batch_size, g_optimizer):
        g_optimizer.zero_grad()
        loss = TestCuda.real_loss(D(G(torch.randn(batch_size, G.z_size).cuda())))
        loss.backward()
        g_optimizer.step()
        return loss.item()

    def test_losses(self, capsys):
        tests.test_losses(self.real_loss, self.fake_loss)
        tests.test_losses(self.real_loss, self.fake_loss, EarlierD(16).cuda())
        with pytest.raises(AssertionError, match="two: D ends in a sigmoid"):
            tests.test_losses(self.real_loss, self.fake_loss, SigmoidD(16).cuda())
        with pytest.raises(AssertionError, match="swapped"):
            tests.test_losses(self.fake_loss, self.real_loss)

    def test_steps(self, capsys):
        D, G = EarlierD(16).cuda(), SizedG(20, 16).cuda()
        tests.test_training_steps(self.discriminator_step, self.generator_step)
        tests.test_training_steps(self.discriminator_step, self.generator_step, D, G)
        tests.test_training_steps(d_step, g_step, D, G)

    def test_steps_as_in_training(self, capsys):
        D, G = EarlierD(16).cuda(), SizedG(20, 16).cuda()
        tests.test_training_steps(answers_steps.D_STEP, answers_steps.G_STEP, D, G)
        real, fake = answers_training.real_probabilities, answers_training.fake_probabilities
        with pytest.raises(AssertionError, match="BCEWithLogitsLoss"):  # which autocast refuses
            tests.test_training_steps(
                answers_steps.step_of_d(real=real, fake=fake),
                answers_steps.step_of_g(real=real),
                SigmoidD(16).cuda(),
                G,
            )

    def test_optimizers(self, capsys):
        D, G = EarlierD(16).cuda(), SizedG(20, 16).cuda()
        pair = (
            torch.optim.Adam(D.parameters(), 0.0002, (0.2, 0.999)),
            torch.optim.Adam(G.parameters(), 0.0002, (0.2, 0.999)),
        )
        tests.test_optimizers(*pair, D, G)
        with pytest.raises(AssertionError, match="those of G"):
            tests.test_optimizers(*pair[::-1], D, G)

    def test_networks(self, capsys):
        with torch.device("cuda"):
            tests.test_discriminator(EarlierD)
            tests.test_generator(EarlierG)
            tests.test_weights_init(answers_networks.by_name)
            tests.test_scale(answers_data.min_max_names)
            with pytest.raises(AssertionError, match="leave it out, because a loader shuffles on the CPU"):
                tests.test_get_dataloader(answers_data.plain)  # so it is with PyTorch, whatever the answer

    def test_no_trace(self, capsys):
        D, G = EarlierD(16).cuda(), SizedG(20, 16).cuda()
        before = torch.cuda.get_rng_state().tolist(), everything(D, G)
        tests.test_training_steps(d_step, g_step, D, G)
        tests.test_losses(real_logits, fake_logits, D)
        assert (torch.cuda.get_rng_state().tolist(), everything(D, G)) == before

    def test_rubric(self):
        given = solved()
        for net in (given["D"], given["G"]):
            net.cuda()
        given.update(real_images=given["real_images"].cuda(), fake_images=given["fake_images"].cuda())
        assert verdicts(tests.rubric_report(**given)) == verdicts(tests.rubric_report(**solved()))
