"""Checkpoints: a run that is killed, interrupted or short of disk loses an epoch at most and ends with the same weights."""

import json
import multiprocessing
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import tiny
import torch

import helper
import training.checkpoints

ROOT = Path(__file__).resolve().parent.parent
KILLS = 50


def one_line(error):
    text = str(error.value)
    assert "\n" not in text and len(text) < 500
    return text


def checkpoints(folder):
    return sorted(Path(folder).glob("*.pt"))


def read(path):
    return training.checkpoints.read(path)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """The killed processes train on one thread; on another number sums round differently, in the last bits."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """Weights after `epochs` epochs without a stop, as a function of epochs."""
    known = {}

    def weights(epochs):
        if epochs not in known:
            parts = tiny.networks()
            tiny.train(tmp_path_factory.mktemp("through"), epochs, parts)
            known[epochs] = tiny.weights(parts) | {"random": torch.get_rng_state()}
        return known[epochs]

    return weights


# --- Killed


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """Start a function of tiny's in a process of its own, which begins within a moment: the modules are loaded before."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        pytest.skip("this system has no forkserver")
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(map(str, (ROOT, ROOT / "tests")))
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tiny"])

    def begin(function, *args):
        process = context.Process(target=function, args=args)
        process.start()
        return process

    yield begin
    if before is None:
        del os.environ["PYTHONPATH"]
    else:
        os.environ["PYTHONPATH"] = before


def wait_until(condition, process, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        assert process.is_alive() and time.monotonic() < end
        time.sleep(0.0005)


def test_killed_at_any_moment_a_run_loses_one_epoch_at_most(tmp_path, start, uninterrupted):
    folder, log = tmp_path / "checkpoints", tmp_path / "log"
    chance, while_writing = random.Random(0), 0
    log.write_text("")
    for kill in range(KILLS):
        epochs = len(log.read_text().split()) + kill % 3
        process = start(tiny.train_logged, folder, 10_000, log)
        wait_until(lambda epochs=epochs: len(log.read_text().split()) >= epochs, process)
        if kill % 2:
            time.sleep(chance.uniform(0, 0.3))
        else:  # as a checkpoint is being written
            wait_until(lambda: list(folder.glob("*.tmp")), process)
            time.sleep(chance.uniform(0, 0.005))
        process.kill()
        process.join()
        while_writing += bool(list(folder.glob("*.tmp")))
        reached = int([0, *log.read_text().split()][-1])  # the last epoch that had begun
        kept = [read(path) for path in checkpoints(folder)]  # each is whole
        assert len(kept) <= 3
        assert not log.read_text() or kept[-1]["counts"][0] >= reached
    assert while_writing and reached
    parts = tiny.networks(seed=9)  # other weights, which the checkpoint's replace
    run = tiny.train(folder, reached + 2, parts)
    assert run.epoch == reached + 2
    assert tiny.same(tiny.weights(parts) | {"random": torch.get_rng_state()}, uninterrupted(reached + 2))
    assert len(checkpoints(folder)) == 2 and not list(folder.glob("*.tmp"))


def test_what_killed_runs_left_does_not_pile_up(tmp_path):
    tiny.train(tmp_path, 3, tiny.networks())
    newest = checkpoints(tmp_path)[-1]
    for step in range(4):
        shutil.copy(newest, tmp_path / f"{step:09d}.pt")
    tiny.train(tmp_path, 3, tiny.networks())
    assert len(checkpoints(tmp_path)) == 2 and checkpoints(tmp_path)[-1] == newest


# --- Interrupted


def interrupting(at):
    """A discriminator_step during which Kernel > Interrupt comes at these steps, counted from 1."""
    steps = iter(range(1, 10_000))

    def discriminator_step(*args):
        if next(steps) in at:
            signal.raise_signal(signal.SIGINT)
        return tiny.names.discriminator_step(*args)

    return discriminator_step


@pytest.mark.parametrize("step", [1, 3, tiny.EPOCH - 1, tiny.EPOCH, tiny.EPOCH + 1, 3 * tiny.EPOCH])
def test_interrupted_in_an_epoch_and_resumed_the_weights_are_the_same(tmp_path, uninterrupted, capsys, step):
    parts, before = tiny.networks(), signal.getsignal(signal.SIGINT)
    run = tiny.train(tmp_path, 3, parts, discriminator_step=interrupting([step]))
    assert run.images == 8 * step and signal.getsignal(signal.SIGINT) is before
    said = capsys.readouterr().out
    assert "Interrupted; nothing is lost. Run this cell again to go on." in said
    faces = helper.generate(parts["G_average"], torch.randn(2, tiny.Z_SIZE))  # the cells below
    assert faces.isfinite().all() and run.history["images"][-1] == 8 * step

    parts = tiny.networks(seed=9)
    run = tiny.train(tmp_path, 3, parts)
    assert "Going on from" in capsys.readouterr().out
    assert run.epoch == 3 and run.images == 3 * tiny.EPOCH * 8 and run.seen == [0, 8, 16, 32, 48, 96, 144]
    assert run.history["images"] == sorted(run.history["images"])
    assert tiny.same(tiny.weights(parts) | {"random": torch.get_rng_state()}, uninterrupted(3))


def test_interrupted_three_times_in_a_row(tmp_path, uninterrupted):
    parts = tiny.networks()
    for _ in range(3):
        run = tiny.train(tmp_path, 3, parts, discriminator_step=interrupting([1, 2, 3]))  # ends at the first
    assert run.step == 3
    tiny.train(tmp_path, 3, parts)
    assert tiny.same(tiny.weights(parts) | {"random": torch.get_rng_state()}, uninterrupted(3))


def test_an_interrupt_while_a_checkpoint_is_written_waits_for_it(tmp_path, monkeypatch, uninterrupted):
    save = torch.save

    def slow_save(state, file):
        signal.raise_signal(signal.SIGINT)
        save(state, file)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(torch, "save", slow_save)
    parts = tiny.networks()
    tiny.train(tmp_path, 3, parts)  # interrupted at the very start, it ends after the first batch
    monkeypatch.undo()
    assert read(checkpoints(tmp_path)[-1])["counts"][2] == 1
    tiny.train(tmp_path, 3, parts)
    assert tiny.same(tiny.weights(parts) | {"random": torch.get_rng_state()}, uninterrupted(3))


def test_a_mistake_in_a_learner_s_step_shows_itself_and_loses_nothing(tmp_path):
    before = signal.getsignal(signal.SIGINT)

    def generator_step(*args):
        raise TypeError("the learner's own mistake")

    with pytest.raises(TypeError, match="own mistake"):
        tiny.train(tmp_path, 3, tiny.networks(), generator_step=generator_step)
    assert signal.getsignal(signal.SIGINT) is before
    assert tiny.train(tmp_path, 1, tiny.networks()).epoch == 1


def test_a_finished_run_says_so_and_goes_on_when_it_is_given_more_epochs(tmp_path, capsys, uninterrupted):
    parts = tiny.networks()
    tiny.train(tmp_path, 2, parts)
    capsys.readouterr()
    run = tiny.train(tmp_path, 2, tiny.networks(seed=9))
    said = capsys.readouterr().out
    assert "Trained already" in said and "raise the number of epochs" in said and run.epoch == 2
    run = tiny.train(tmp_path, 3, parts)
    assert run.epoch == 3
    assert tiny.same(tiny.weights(parts) | {"random": torch.get_rng_state()}, uninterrupted(3))


# --- What does not fit, and what is damaged


def test_a_learning_rate_that_a_schedule_lowered_does_not_make_it_another_run(tmp_path):
    parts = tiny.networks()
    schedule = torch.optim.lr_scheduler.LinearLR(parts["d_optimizer"], 1.0, 0.1, total_iters=2)
    tiny.train(tmp_path, 1, parts)
    schedule.step()
    assert parts["d_optimizer"].param_groups[0]["lr"] < 2e-4
    assert tiny.train(tmp_path, 2, parts).epoch == 2


def test_settings_that_differ_are_refused_by_name(tmp_path):
    tiny.train(tmp_path, 1, tiny.networks(), settings={"batch_size": 8, "data": "faces"})
    kept = [path.read_bytes() for path in checkpoints(tmp_path)]
    wider = tiny.networks()
    wider["D"].layers[0] = torch.nn.Conv2d(3, 8, 6, stride=2, padding=2)
    wider["d_optimizer"] = torch.optim.Adam(wider["D"].parameters(), 2e-4, (0.5, 0.999))
    for parts, settings, says in [
        (tiny.networks(), {"batch_size": 16, "data": "faces"}, "batch_size: then 8, now 16"),
        (tiny.networks(), {"batch_size": 8, "data": "others"}, "data: then faces, now others"),
        (tiny.networks(), {"batch_size": 8, "data": "faces", "more": 1}, "more: then none, now 1"),
        (tiny.networks(lr=1e-3), {"batch_size": 8, "data": "faces"}, "d_optimizer lr: then 0.0002, now 0.001"),
        (wider, {"batch_size": 8, "data": "faces"}, "D: then layers.0.weight (8, 3, 4, 4) float32, now layers.0"),
    ]:
        before = tiny.weights(parts)
        with pytest.raises(helper.FaceError) as error:
            tiny.train(tmp_path, 2, parts, settings=settings)
        assert says in one_line(error) and "delete that folder to start afresh" in one_line(error)
        assert tiny.same(tiny.weights(parts), before)
    assert [path.read_bytes() for path in checkpoints(tmp_path)] == kept


def cut(data):
    return data[:len(data) * 2 // 3]


def flip_a_weight(data):
    """Flip a bit in the middle of the file, where the weights are; torch.load alone would not notice."""
    data = bytearray(data)
    data[len(data) // 2] ^= 1
    return bytes(data)


@pytest.mark.parametrize("damage", [cut, flip_a_weight, lambda data: b"", lambda data: b"something else"])
def test_a_damaged_newest_checkpoint_falls_back_to_the_one_before(tmp_path, capsys, uninterrupted, damage):
    tiny.train(tmp_path, 2, tiny.networks())
    older, newest = checkpoints(tmp_path)
    newest.write_bytes(damage(newest.read_bytes()))
    parts = tiny.networks(seed=9)
    run = tiny.train(tmp_path, 3, parts)
    said = capsys.readouterr().out
    assert f"{newest} is damaged" in said and f"Going on from {older}" in said and run.epoch == 3
    assert tiny.same(tiny.weights(parts) | {"random": torch.get_rng_state()}, uninterrupted(3))
    assert all(read(path) for path in checkpoints(tmp_path))


def test_when_all_checkpoints_are_damaged_nothing_is_overwritten(tmp_path):
    tiny.train(tmp_path, 1, tiny.networks())
    for path in checkpoints(tmp_path):
        path.write_bytes(cut(path.read_bytes()))
    kept = [path.read_bytes() for path in checkpoints(tmp_path)]
    with pytest.raises(helper.FaceError) as error:
        tiny.train(tmp_path, 1, tiny.networks())
    assert f"no checkpoint in {tmp_path} can be read: delete that folder" in one_line(error)
    assert [path.read_bytes() for path in checkpoints(tmp_path)] == kept


class Trap:
    """An object whose unpickling would run a program."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_a_checkpoint_that_holds_a_program_is_not_run(tmp_path, capsys):
    tiny.train(tmp_path / "run", 1, tiny.networks())
    torch.save({"settings": {}, "trap": Trap(tmp_path / "sprung")}, tmp_path / "run" / "000000099.pt")
    run = tiny.train(tmp_path / "run", 1, tiny.networks())
    assert run.epoch == 1 and "000000099.pt is damaged" in capsys.readouterr().out
    assert not (tmp_path / "sprung").exists()


# --- A full disk


def assert_a_full_disk_ends_in_one_line(folder, limit):
    """Train under limit(), which lets the second checkpoint fail, and look at what is left."""
    parts = tiny.networks()
    run = tiny.train(folder, 1, parts)
    older = checkpoints(folder)[-1]
    whole = older.read_bytes()
    limit()
    with pytest.raises(helper.FaceError) as error:
        tiny.train(folder, 2, parts)
    line = one_line(error)
    assert "cannot be written" in line and f"{older} is whole" in line and "Make room" in line
    assert older.read_bytes() == whole and not list(Path(folder).glob("*.tmp"))
    return run, line


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="only root can mount a small disk")
def test_a_full_disk_ends_in_one_line_and_the_older_checkpoint_is_whole(tmp_path, uninterrupted):
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "none", disk], capture_output=True).returncode:
        pytest.skip("this machine allows no mounts")
    try:
        def fill_the_disk():
            free = shutil.disk_usage(disk).free - 200_000  # a checkpoint has more
            (disk / "other").write_bytes(bytes(free))

        _, line = assert_a_full_disk_ends_in_one_line(disk / "checkpoints", fill_the_disk)
        assert "No space left on device" in line
        (disk / "other").unlink()
        parts = tiny.networks(seed=9)
        assert tiny.train(disk / "checkpoints", 3, parts).epoch == 3
        assert tiny.same(tiny.weights(parts) | {"random": torch.get_rng_state()}, uninterrupted(3))
    finally:
        subprocess.run(["umount", disk], check=True)


def test_a_file_size_limit_ends_in_one_line_and_the_older_checkpoint_is_whole(tmp_path):
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        limit = (200_000, before[1])
        assert_a_full_disk_ends_in_one_line(tmp_path, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


# --- No pickle


def sources():
    """The project's own program text: {path: text}, the notebook's cells without their outputs."""
    parts = ("*.py", *(f"{room}/*.py" for room in ("faces", "training", "measures", "further", "benchmarks")))
    found = {path: path.read_text(encoding="utf-8") for part in parts for path in ROOT.glob(part)}
    cells = json.loads((ROOT / "face_generation.ipynb").read_text(encoding="utf-8"))["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    return found | {ROOT / "face_generation.ipynb": "\n".join(code)}


def test_no_pickle_is_loaded_anywhere():
    assert len(sources()) > 20
    for path, text in sources().items():
        assert not re.search(r"\b(import|from)\s+(pickle|cPickle|dill|joblib|shelve|cloudpickle|marshal)\b", text), path
        assert not re.search(r"allow_pickle\s*=\s*True|weights_only\s*=\s*False|read_pickle", text), path
        for call in re.findall(r"(?<!export\.)(?:torch|\w+)\.load\([^\n]*", text):
            if call.startswith("torch.load("):
                assert "weights_only=True" in call, f"{path}: {call}"
            if call.startswith(("np.load(", "numpy.load(")):
                assert "allow_pickle=False" in call, f"{path}: {call}"
