"""Two processes that train together must do what one would do with batches twice as large."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pictures
import pytest
import torch

import further.many

pytest.importorskip("accelerate")
ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Run tests/many.py; return the folder it filled."""
    folder = tmp_path_factory.mktemp("many")
    program = [sys.executable, str(Path(__file__).with_name("many.py")), str(folder)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    with subprocess.Popen(program, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          start_new_session=True, text=True) as process:
        try:
            log, _ = process.communicate(timeout=180)  # a hang ends here, with the processes that were started
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 0, log
    (folder / "log").write_text(log)
    return folder


def both(folder, case):
    return [torch.load(folder / case / f"{rank}.pt") for rank in (0, 1)]


def test_the_losses_are_those_of_one_process_with_the_doubled_batch(runs):
    first, second = (torch.tensor(saw["losses"]) for saw in both(runs, "exact"))
    alone = torch.tensor(torch.load(runs / "exact" / "alone.pt")["losses"])
    assert len(alone) == 12
    torch.testing.assert_close((first + second) / 2, alone, rtol=0, atol=1e-5)
    assert (alone[0] - alone[-1]).abs().min() > 1e-3  # something was learned


@pytest.mark.parametrize("case", ["exact", "real", "resumed"])
def test_both_processes_end_with_the_same_weights(runs, case):
    first, second = both(runs, case)
    for network in ("D", "G"):
        for name, value in first[network].items():
            if "running" not in name:  # BatchNorm's statistics are those of each process's own batches
                assert torch.equal(value, second[network][name]), f"{network}.{name}"


def test_they_share_every_epoch_out_in_a_new_order(runs):
    first, second = (torch.tensor(saw["pictures"]).view(2, -1) for saw in both(runs, "real"))
    epochs = torch.cat([first, second], dim=1)
    assert all(len(epoch.unique()) == 96 for epoch in epochs)
    assert not torch.equal(*epochs)
    assert len(set(first[0].tolist()) & set(second[0].tolist())) == 0


@pytest.mark.parametrize("case", ["real", "resumed"])
def test_each_draws_z_of_its_own(runs, case):
    first, second = (torch.cat(saw["z"][1:]) for saw in both(runs, case))  # the first is fixed_z
    assert len(torch.cat([first, second]).unique(dim=0)) == len(first) + len(second)


def test_only_the_first_writes_and_counts_the_images_of_both(runs):
    names = sorted(path.name for path in (runs / "real" / "checkpoints").glob("[0-9]*"))
    assert names == ["000000012.pt", "000000018.pt"]  # the last two epochs, one of them of the resumed run
    state = torch.load(runs / "real" / "checkpoints" / names[-1], weights_only=True)
    assert state["counts"][3] == 3 * 96
    assert state["history"]["images"][-1] == 3 * 96
    assert all(not name.startswith("module.") for part in ("D", "G") for name in state["parts"][part])


@pytest.mark.parametrize("case", ["raises", "killed"])
def test_one_that_dies_ends_the_run_with_an_error(runs, case):
    assert "FAILED" in (runs / case / "error").read_text()
    assert not list((runs / case).glob("*.pt"))


def test_the_error_of_the_one_that_died_is_printed(runs):
    assert "Process 1 of 2: RuntimeError: the second process met its end" in (runs / "log").read_text()


def test_the_program_trains_by_pytorch_s_launcher_and_the_notebook_finds_its_checkpoint(tmp_path):
    """Two processes on the CPU, started as on a machine with two GPUs."""
    faces = pictures.fill(tmp_path / "faces", 80)
    environment = os.environ | {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo", "ACCELERATE_USE_CPU": "yes",
                                "PYTHONPATH": str(ROOT), "FACE_DATA": faces, "FACE_EPOCHS": "1"}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "further.many"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "epoch 1 of 1, " in done.stdout
    assert len(list(tmp_path.glob("results/faces-*/checkpoints/0*.pt"))) == 2  # before the first step, and the last


def test_on_fewer_than_two_gpus_the_program_says_so(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(SystemExit, match="fewer than two GPUs: the notebook itself"):
        further.many.main()
