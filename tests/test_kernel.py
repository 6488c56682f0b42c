"""The notebook under a person's hands: a real kernel, its cells run twice, out of order, interrupted and restarted."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pictures
import pytest

pytest.importorskip("ipykernel")
from kernels import Kernel  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
CELLS = ["".join(line for line in one["source"] if not line.startswith("%"))
         for one in json.loads((ROOT / "face_generation.ipynb").read_text(encoding="utf-8"))["cells"]
         if one["cell_type"] == "code"]
CONTROL = re.compile(r"[\r\x1b]")


def cell(text):
    """The one code cell that holds this text, with narrow networks, which train faster."""
    found = [source for source in CELLS if text in source]
    assert len(found) == 1, f"{len(found)} cells hold {text!r}"
    return re.sub(r"_conv_dim = 64", "_conv_dim = 8", found[0])


def cells(first, last):
    """The code cells from the one with `first` in it to the one with `last`, without the checks."""
    sources = [re.sub(r"_conv_dim = 64", "_conv_dim = 8", source) for source in CELLS]
    begin = next(i for i, source in enumerate(sources) if first in source)
    end = next(i for i, source in enumerate(sources) if last in source)
    return [source for source in sources[begin:end + 1] if not re.search(r"^tests\.", source, re.M)]


TRAINING = "history = train("
SET_UP = [*cells("import helper", "checkpoints = "), "helper.TrainingRun.KEEP_AFTER = 0.0"]
RESULTS = cells("axis.plot(history", "helper.export_generator(")
WEIGHTS = """
print(sum(value.double().abs().sum().item() for part in (D, G, G_average) for value in part.state_dict().values()))
"""


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    return pictures.fill(tmp_path_factory.mktemp("faces"), 192)


@pytest.fixture
def kernel(tmp_path, faces):
    """Start kernels in tmp_path with so many epochs to train; they end with the test."""
    started = []

    def start(epochs):
        started.append(Kernel(tmp_path, epochs, faces))
        return started[-1]

    yield start
    for one in started:
        one.stop()


def text_displays(ran):
    return [data["text/plain"] for data in ran.displays.values() if set(data) == {"text/plain"}]


def seen(ran):
    """How many images the run had seen, by what it printed last."""
    return int(re.findall(r"([\d,]+) images(?!/)", ran.text)[-1].replace(",", ""))


def test_cells_run_twice_and_out_of_order(kernel, tmp_path):
    session = kernel(epochs=2)
    for later in (TRAINING, "new_faces = ", "helper.save_gif"):  # before anything else was run
        assert "NameError" in session.fail(cell(later))[-1]
    session.run(*[source for source in SET_UP for _ in range(2)])
    ran = session.run(cell(TRAINING))
    assert "epoch 2 of 2, 384 images" in ran.text and not CONTROL.search(ran.text)
    assert sum("image/png" in data for data in ran.displays.values()) == 1  # one figure, refreshed in place
    bars = [line for line in text_displays(ran) if "Training" in line]
    assert len(bars) <= 1 and not any(CONTROL.search(line) for line in text_displays(ran))
    weights = session.run(WEIGHTS).text

    ran = session.run(cell(TRAINING))  # a second time
    assert "Trained already" in ran.text and session.run(WEIGHTS).text == weights
    session.run(*[source for source in RESULTS for _ in range(2)])
    assert {path.suffix for path in tmp_path.glob("results/*/*")} >= {".gif", ".pt2", ".pt"}

    session.run(cell("D, G = build_network("))  # new networks, but the old ones' optimizers
    error = session.fail(cell(TRAINING))
    assert len(error) == 1 and "d_optimizer moves other weights than those of D, G, G_average" in error[0]
    session.run(*cells("D, G = build_network(", "d_optimizer = torch.optim"), cell(TRAINING))
    assert session.run(WEIGHTS).text == weights  # the checkpoint's

    session.run(cell("D, G = build_network(").replace("_conv_dim = 8", "_conv_dim = 12"),
                *cells("device = helper.find_device", "d_optimizer = torch.optim"))
    error = session.fail(cell(TRAINING))
    assert len(error) == 1 and "holds a run with other settings (D: then" in error[0]

    session.run("import os; os.environ['FACE_DATA'] = 'nowhere'")
    error = session.fail(cell("helper.find_faces()"))
    assert error == ["FaceError: FACE_DATA names nowhere, which does not exist: correct the path, or unset FACE_DATA."]


def test_restarted_in_the_middle_and_interrupted_three_times_in_a_row(kernel, tmp_path):
    session = kernel(epochs=100_000)
    session.run(*SET_UP)
    session.start(cell(TRAINING))
    kept = tmp_path / "results"
    while len(list(kept.rglob("0*.pt"))) < 2 or list(kept.rglob("000000000.pt")):  # two epochs at least
        session.look()
    session.restart()
    session.run(*SET_UP)
    newest = max(path.name for path in kept.rglob("0*.pt"))

    reached = 0
    for times in (1, 1, 1, 3):  # one after the other, then three at once
        session.start(cell(TRAINING))
        while "Going on from" not in session.ran.text or not any("Training" in bar for bar in text_displays(session.ran)):
            session.look()
        if not reached:
            assert newest in session.ran.text
        for _ in range(times):
            session.manager.interrupt_kernel()
        ran = session.finish()
        assert ran.error is None and "Interrupted; nothing is lost. Run this cell again to go on." in ran.text
        assert seen(ran) > reached
        reached = seen(ran)
        weights = session.run(WEIGHTS).text
        session.run(*RESULTS)

    session.restart()
    session.run(*SET_UP, f"epochs = {reached // 192 + 1}")
    ran = session.run(cell(TRAINING))
    assert f"{reached:,} images" in ran.text.splitlines()[0]  # it went on just where it had stopped
    assert seen(ran) == (reached // 192 + 1) * 192 and session.run(WEIGHTS).text != weights


def test_a_second_kernel_in_the_same_folder_gets_one_line_and_the_first_goes_on(kernel):
    first, second = kernel(epochs=100_000), kernel(epochs=100_000)
    first.run(*SET_UP)
    second.run(*SET_UP)
    first.start(cell(TRAINING))
    while not any("Training" in bar for bar in text_displays(first.ran)):
        first.look()
    error = second.fail(cell(TRAINING))
    assert len(error) == 1 and "another kernel or program is training in results" in error[0]
    first.manager.interrupt_kernel()
    ran = first.finish()
    assert ran.error is None and "Interrupted; nothing is lost" in ran.text
    second.start(cell(TRAINING))
    while "Going on from" not in second.ran.text:
        second.look()
    second.manager.interrupt_kernel()
    assert second.finish().error is None and seen(second.ran) > seen(ran)


def test_jupyter_execute_leaves_no_control_characters(tmp_path, faces):
    """In the log and in the saved outputs."""
    whole = json.loads((ROOT / "face_generation.ipynb").read_text(encoding="utf-8"))
    chosen = [*SET_UP, cell(TRAINING), cell("helper.save_gif")]
    blank = {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None}
    whole["cells"] = [blank | {"id": f"cell-{number}", "source": source} for number, source in enumerate(chosen)]
    path = tmp_path / "face_generation.ipynb"
    path.write_text(json.dumps(whole), encoding="utf-8")
    environment = os.environ | {"PYTHONPATH": str(ROOT), "FACE_DATA": faces, "FACE_EPOCHS": "4", "OMP_NUM_THREADS": "1"}
    done = subprocess.run([Path(sys.executable).parent / "jupyter", "execute", "--inplace", path], cwd=tmp_path,
                          env=environment, capture_output=True)
    log = (done.stdout + done.stderr).decode()
    assert done.returncode == 0, log
    assert not re.search(r"[\r\x1b]|it/s|images/s", log)
    outputs = [output for one in json.loads(path.read_text(encoding="utf-8"))["cells"] for output in one["outputs"]]
    training = json.loads(path.read_text(encoding="utf-8"))["cells"][-2]["outputs"]
    assert not re.search(r"\\r|\\u001b", json.dumps([{**output, "data": None} for output in outputs]))
    texts = ["".join(output["data"].get("text/plain", "")) for output in outputs if "data" in output]
    assert not any(CONTROL.search(text) for text in texts)
    assert sum("image/png" in output.get("data", {}) for output in training) == 1
    assert sum("Training" in "".join(output.get("data", {}).get("text/plain", "")) for output in training) <= 1
    assert outputs[-1]["data"]["image/gif"]
