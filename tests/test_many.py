"""Processes that train together must do what one would do with batches as much larger."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pictures
import pytest
import torch
import torch.distributed as dist

import further.many
from benchmarks.scaling import step_seconds
from common import FaceError
from further import together
from further.together import from_slurm

pytest.importorskip("accelerate")
ROOT = Path(__file__).resolve().parent.parent
PROGRAM = str(Path(__file__).with_name("many.py"))
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("SLURM")} | {
    "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo", "ACCELERATE_USE_CPU": "yes", "PYTHONPATH": str(ROOT)}
CASES = ("exact", "normed", "apart", "stopped", "shrunk_to_2", "shrunk_to_1", "real", "resumed", "raises", "killed")


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def torchrun(*arguments):
    return [sys.executable, "-m", "torch.distributed.run", *arguments]


def side_by_side(*commands, cwd=None, environments=({},)):
    """Run programs side by side until all are done; return what they printed. A hang ends after three minutes."""
    environments = environments * len(commands) if len(environments) == 1 else environments
    started = [subprocess.Popen(command, cwd=cwd, env=ENVIRONMENT | more, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                start_new_session=True, text=True)
               for command, more in zip(commands, environments, strict=True)]
    try:
        logs = [process.communicate(timeout=180)[0] for process in started]
    finally:
        for process in started:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    assert not any(process.returncode for process in started), "\n".join(logs)
    return "\n".join(logs)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two "machines" of two processes, which meet on loopback; then all else. Returns the folder that they filled."""
    folder = tmp_path_factory.mktemp("many")
    for case in CASES:
        (folder / case).mkdir()
    machine = torchrun("--nnodes=2", "--nproc-per-node=2", "--rdzv-backend=c10d", f"--rdzv-endpoint=127.0.0.1:{free_port()}",
                       PROGRAM, str(folder), "exact", "normed", "apart", "stopped")
    side_by_side(machine, machine)
    (folder / "log").write_text(side_by_side([sys.executable, PROGRAM, str(folder), "--fork"]))
    return folder


def each(folder, case, processes=2):
    return [torch.load(folder / case / f"{rank}.pt") for rank in range(processes)]


# --- Two runs of two processes ------------------------------------------------------------------------------------


def off(runs, case):
    """The largest difference of the four processes' mean losses from those of one with four times the batch."""
    four = torch.stack([torch.tensor(saw["losses"]) for saw in each(runs, case, 4)]).mean(0)
    alone = torch.tensor(torch.load(runs / case / "alone.pt")["losses"])
    assert alone.shape == four.shape == (6, 2)
    assert (alone[0] - alone[-1]).abs().min() > 1e-3  # something was learned
    return (four - alone).abs().max().item()


@pytest.mark.parametrize("case", ["exact", "normed"])
def test_the_losses_of_four_are_those_of_one_with_four_times_the_batch(runs, case):
    assert off(runs, case) < 1e-5


def test_with_each_process_s_own_batchnorm_they_are_not(runs):
    assert off(runs, "apart") > 1e-3


def test_batchnorm_across_leaves_the_statistics_of_the_whole_batch(runs):
    alone = torch.load(runs / "normed" / "alone.pt")
    for saw in each(runs, "normed", 4):
        for network in ("D", "G"):
            for name, value in alone[network].items():
                torch.testing.assert_close(saw[network][name], value, rtol=1e-4, atol=1e-4)


def test_four_stop_within_an_epoch_and_two_and_then_one_go_on(runs):
    four, two, one = each(runs, "stopped", 4), each(runs, "shrunk_to_2"), each(runs, "shrunk_to_1", 1)
    assert [(saws[0]["images"], saws[0]["epoch"]) for saws in (four, two, one)] == [(128, 1), (192, 2), (288, 3)]
    assert [len(saws[0]["losses"]) for saws in (four, two, one)] == [4, 4, 12]
    second_epoch = [value for saw in four for value in saw["pictures"][24:]] + [v for saw in two for v in saw["pictures"]]
    assert len(second_epoch) == len(set(second_epoch)) == 96  # what the four had seen, the two did not see again
    assert set(second_epoch) == set(one[0]["pictures"])


# --- Two processes ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", ["real", "resumed"])
def test_both_processes_end_with_the_same_weights(runs, case):
    first, second = each(runs, case)
    for network in ("D", "G"):
        for name, value in first[network].items():
            if "running" not in name:  # BatchNorm's statistics are those of each process's own batches
                assert torch.equal(value, second[network][name]), f"{network}.{name}"


def test_they_share_every_epoch_out_in_a_new_order(runs):
    first, second = (torch.tensor(saw["pictures"]).view(2, -1) for saw in each(runs, "real"))
    epochs = torch.cat([first, second], dim=1)
    assert all(len(epoch.unique()) == 96 for epoch in epochs)
    assert not torch.equal(*epochs)
    assert len(set(first[0].tolist()) & set(second[0].tolist())) == 0


@pytest.mark.parametrize("case", ["real", "resumed"])
def test_each_draws_z_of_its_own(runs, case):
    first, second = (torch.cat(saw["z"][1:]) for saw in each(runs, case))  # the first is fixed_z
    assert len(torch.cat([first, second]).unique(dim=0)) == len(first) + len(second)


def test_only_the_first_writes_and_counts_the_images_of_both(runs):
    names = sorted(path.name for path in (runs / "real" / "checkpoints").glob("[0-9]*"))
    assert names == ["000000012.pt", "000000018.pt"]  # the last two epochs, one of them of the resumed run
    state = torch.load(runs / "real" / "checkpoints" / names[-1], weights_only=True)
    assert state["counts"][3] == 3 * 96 and state["processes"] == 2
    assert state["history"]["images"][-1] == 3 * 96
    assert all(not name.startswith("module.") for part in ("D", "G") for name in state["parts"][part])


@pytest.mark.parametrize("case", ["raises", "killed"])
def test_one_that_dies_ends_the_run_with_an_error(runs, case):
    assert "FAILED" in (runs / case / "error").read_text()
    assert not list((runs / case).glob("*.pt"))


def test_the_error_of_the_one_that_died_is_printed(runs):
    assert "Process 1 of 2: RuntimeError: the second process met its end" in (runs / "log").read_text()


# --- Without starting processes ---------------------------------------------------------------------------------------

SRUN = {"SLURM_PROCID": "5", "SLURM_NTASKS": "8", "SLURM_LOCALID": "1", "SLURM_LAUNCH_NODE_IPADDR": "10.0.0.1",
        "SLURM_JOB_ID": "123456"}


def test_slurm_s_names_become_torch_s():
    assert from_slurm(SRUN) == {"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "MASTER_ADDR": "10.0.0.1",
                                "MASTER_PORT": "23456"}
    given = from_slurm(SRUN | {"MASTER_ADDR": "first", "MASTER_PORT": "29500"})
    assert (given["MASTER_ADDR"], given["MASTER_PORT"]) == ("first", "29500")


@pytest.mark.parametrize("environ", [{}, SRUN | {"RANK": "0"}, SRUN | {"SLURM_NTASKS": "1"}, {"SLURM_NTASKS": "8"}])
def test_no_group_of_srun_s_no_names(environ):
    assert from_slurm(environ) == {}


def test_an_unknown_first_machine_is_one_line():
    with pytest.raises(FaceError, match="set MASTER_ADDR"):
        from_slurm({name: value for name, value in SRUN.items() if "IPADDR" not in name})


@pytest.fixture
def alone(monkeypatch):
    for name, value in {"RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}.items():
        monkeypatch.setenv(name, value)
    together.join()
    yield
    dist.destroy_process_group()


def test_batchnorm_across_one_process_is_batchnorm(alone):
    torch.manual_seed(0)
    plain, across = (torch.nn.Sequential(torch.nn.BatchNorm2d(3)) for _ in range(2))
    together.norm_across(across)
    x = (torch.randn(4, 3, 5, 5) * 2 + 1).requires_grad_()
    for training in (True, False):
        outputs = [network.train(training)(x) for network in (plain, across)]
        gradients = [torch.autograd.grad((y**3).sum(), [x, *n.parameters()]) for y, n in zip(outputs, (plain, across),
                                                                                             strict=True)]
        torch.testing.assert_close(*outputs)
        torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(plain.state_dict(), across.state_dict())
    assert across.train()(x.bfloat16()).dtype == torch.bfloat16


def test_the_last_batches_are_filled_up(alone):
    loader = torch.utils.data.DataLoader(range(7), 3)
    assert list(together.Share(loader)) == [[0, 1, 2], [3, 4, 5], [6, 0, 1]]
    assert len(together.Share(torch.utils.data.DataLoader(range(2), 5))) == 1
    assert list(together.Share(torch.utils.data.DataLoader(range(2), 5))) == [[0, 1, 0, 1, 0]]


def test_a_folder_that_not_all_see_is_one_line(alone, tmp_path, monkeypatch):
    def gathered(seen, names):
        seen[:] = [["000000012.pt"], names]

    monkeypatch.setattr(dist, "get_world_size", lambda: 2)
    monkeypatch.setattr(dist, "all_gather_object", gathered)
    with pytest.raises(FaceError, match="process 1 does not see the checkpoints"):
        together.see_the_same(tmp_path)


# --- The program ------------------------------------------------------------------------------------------------------


def test_launchers_and_slurm_start_the_program_and_the_notebook_s_checkpoint_is_gone_on_with(tmp_path):
    """torchrun starts two processes for an epoch, accelerate two for a second, srun (by hand) two for a third."""
    faces, port = pictures.fill(tmp_path / "faces", 80), free_port()
    program = ["-m", "further.many"]
    srun = [{"SLURM_PROCID": str(rank), "SLURM_LOCALID": str(rank), "SLURM_NTASKS": "2", "MASTER_PORT": str(port),
             "SLURM_LAUNCH_NODE_IPADDR": "127.0.0.1"} for rank in (0, 1)]
    starts = [
        ([torchrun("--standalone", "--nproc-per-node=2", *program)], [{}]),
        ([[sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes=2",
           f"--main_process_port={free_port()}", *program]], [{}]),
        ([[sys.executable, *program, "--across"]] * 2, srun),
    ]
    for number, (commands, environments) in enumerate(starts, 1):
        more = {"FACE_DATA": faces, "FACE_EPOCHS": str(number)}
        log = side_by_side(*commands, cwd=tmp_path, environments=[environment | more for environment in environments])
        assert f"epoch {number} of {number}, {number * 128} images" in log and log.count("images/s") == 1
        assert ("Going on from" in log) == (number > 1)
    assert len(list(tmp_path.glob("results/faces-*/checkpoints/0*.pt"))) == 2


def test_without_argument_it_sets_two_processes_beside_one(tmp_path, monkeypatch):
    """The last row is trained, the others' results are its own."""
    spawn, kept = torch.multiprocessing.spawn, []

    def last_row(function, arguments, processes):
        *others, result = arguments
        if not kept:
            monkeypatch.setenv("GLOO_SOCKET_IFNAME", "lo")
            spawn(function, (2, 1, 32, *others[3:], result), 2)
            kept.append(torch.load(result))
        torch.save(kept[0], result)

    monkeypatch.setattr(torch.multiprocessing, "spawn", last_row)
    monkeypatch.setattr(further.many.beside, "distances", lambda *_: dict.fromkeys(further.many.beside.FORMATS, 0.5))
    monkeypatch.chdir(tmp_path)
    given = SimpleNamespace(images=64, seeds=[0], folder=None, photographs=pictures.fill(tmp_path / "faces", 120))
    table, figure = further.many.measure(given)
    rows = [line.split(" | ") for line in table.splitlines()]
    assert [row[0] for row in rows[-2:]] == ["| 2 processes, 16 pictures each", "| 2 processes, 32 pictures each"]
    assert "images a second" in rows[0] and all(row[2] == "128" and float(row[-3]) > 0 for row in rows[3:])
    figure.canvas.draw()


def test_the_reckoned_cost_of_averaging():
    own = step_seconds(1, 1e6, 0.1, 1e9, 1e-5)
    assert own == 0.1
    assert step_seconds(2, 1e6, 0.1, 1e9, 0) == pytest.approx(0.1 + 4e6 / 1e9)  # each sends all it has, once
    assert step_seconds(1000, 1e6, 0.1, 1e9, 1e-5) == pytest.approx(0.1 + 1.998 * 4e-3 + 1998 * 2e-5)


def test_with_two_gpus_it_starts_a_process_for_each(monkeypatch):
    started = []
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(further.many.subprocess, "call", started.append)
    monkeypatch.setattr(sys, "argv", ["many", "--across"])
    with pytest.raises(SystemExit):
        further.many.main()
    assert started[0][-4:] == ["--nproc-per-node=2", "-m", "further.many", "--across"]
