"""Many GPUs, many machines (Li et al., 2020, https://arxiv.org/abs/2006.15704): the notebook's `train` in many processes.

Each process holds both networks and takes its share of every batch. While `backward` still runs, the gradients that are done
are averaged over all processes, bucket by bucket, so that all make the same step and keep the same weights: n processes with
batches of B do what one would do with batches of n * B (but for BatchNorm, below).

What differs from the notebook: the networks are wrapped, the loader gives each process its share, and z is each one's own.
The rate stays as it is; Goyal et al. (2017, https://arxiv.org/abs/1706.02677) multiply theirs by n. The first process writes
the checkpoints, where the notebook looks for them, and any number of processes, or the notebook, goes on with them. All
machines must see that folder. BatchNorm takes each process's own batch; with --across, that of all (PyTorch's SyncBatchNorm
does so on GPUs only; the one in together.py, on CPUs too).

Measured: two "machines" of two processes on loopback, six steps, have the losses of one process with four times the batch to
within 3e-7, without BatchNorm (Adam) and with --across (SGD); with each process's own BatchNorm they are up to 0.011 off.
On two quiet cores without bfloat16, 15,360 drawn faces, seed 0, one reading each: one process with one core 73 images/s,
with both 115; two processes with one core each 93 in batches of 16, 112 in batches of 32.

    python -m further.many                            with two or more GPUs: on all of them. Without: one process beside two,
                                                      on the CPU (--help lists the options of that)
    torchrun --nproc-per-node=8 -m further.many       FACE_DATA and FACE_EPOCHS as for the notebook
    accelerate launch --multi_gpu --num_processes 8 -m further.many
    torchrun --nnodes=2 --nproc-per-node=8 --rdzv-backend=c10d --rdzv-endpoint=FIRST:29500 -m further.many    on both

and on a cluster under SLURM, `sbatch` with this file:

    #!/bin/bash
    #SBATCH --nodes=2
    #SBATCH --ntasks-per-node=8
    #SBATCH --gpus-per-node=8
    #SBATCH --cpus-per-task=4
    #SBATCH --time=01:00:00
    export FACE_DATA=/shared/faces FACE_EPOCHS=100
    cd /shared/face_generation
    srun .venv/bin/python -m further.many
"""

import argparse
import os
import socket
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path
from types import SimpleNamespace

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader

import helper
from common import FaceError
from further import beside, course, together

# --- What each does ---------------------------------------------------------------------------------------------------


def train_on_each(own, loader, folder, epochs, across=False):
    """Train in one of several processes that have joined: `train` with its share of the batches and z of its own.

    own: what course.set_up gave; loader: the whole data's; folder: where the checkpoints go, or None; across: BatchNorm of
    all processes' batches together.
    Returns: helper.TrainingRun, done.
    Raises: FaceError if the processes do not see the same checkpoints, or as helper.TrainingRun does.
    """
    together.see_the_same(folder)
    torch.manual_seed(torch.initial_seed() + dist.get_rank())
    for network in (own.D, own.G) if across else ():
        together.norm_across(network)
    # buffers stay each one's own: to send BatchNorm's around between two passes of D would change what the first one saved
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # broadcast_buffers has a new name that PyTorch 2.6 lacks
        D, G = (DistributedDataParallel(network, broadcast_buffers=False) for network in (own.D, own.G))
    G.z_size = own.G.z_size
    share = DataLoader(loader.dataset, batch_sampler=together.Share(loader), collate_fn=loader.collate_fn,
                       num_workers=loader.num_workers)
    parts = course.parts_of(own) | {"D": D, "G": G}
    sample = helper.FixedFaces(own.G_average, own.random_z(32, G.z_size, next(G.parameters()).device))
    settings = {"faces": helper.data_key(loader), "image_size": own.image_size, "batch_size": own.batch_size}
    run = helper.TrainingRun(folder, epochs, sample, settings, **parts)
    own.train(loader=share, discriminator_step=own.discriminator_step, generator_step=own.generator_step, run=run, **parts)
    return run


# --- One process beside two, on the CPU -------------------------------------------------------------------------------


def timed(rank, processes, threads, batch_size, photographs, epochs, seed, count, folder, port, result):
    """One of `processes` that train side by side; the first leaves what it measured and `count` faces in `result`."""
    torch.set_num_threads(threads)
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(processes), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    dist.init_process_group("gloo")
    torch.manual_seed(seed)
    own = course.set_up(device=torch.device("cpu"), batch_size=batch_size)
    run = train_on_each(own, course.loader_of(own, photographs, beside.EPOCH), folder, epochs)
    if rank == 0:
        faces = beside.made(beside.System(own), count)
        torch.save({"images": run.images, "seconds": run.seconds, "history": run.history, "faces": faces}, result)
    dist.destroy_process_group()


def measure(given):
    """Train with one process and with two, the batch of 32 cut in two and doubled. Returns: the table, the picture."""
    data = beside.faces(given)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    half = max(1, cores // 2)
    epochs = max(1, round(given.images / min(beside.EPOCH, len(data.photographs))))
    rows = {f"1 process, {half} of {cores} cores": (1, half, 32), f"1 process, {cores} of {cores} cores": (1, cores, 32),
            "2 processes, 16 pictures each": (2, half, 16), "2 processes, 32 pictures each": (2, half, 32)}
    judged = []
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder, "result.pt")
        for seed in given.seeds:
            for name, (processes, threads, batch_size) in rows.items():
                print(f"\n{name}, seed {seed}", flush=True)
                with socket.create_server(("127.0.0.1", 0)) as server:
                    port = server.getsockname()[1]
                arguments = (processes, threads, batch_size, data.photographs, epochs, seed, len(data.reals),
                             beside.kept(given, f"{name}, seed {seed}"), port, result)
                torch.multiprocessing.spawn(timed, arguments, processes)
                found = SimpleNamespace(**torch.load(result, weights_only=True))
                judged.append(beside.Judged(name, seed, found, None, found.faces))
    table = beside.table(judged, data, images_a_second=lambda one: f"{one.run.images / one.run.seconds:.0f}",
                         loss_of_D=lambda one: f"{one.run.history['d_loss'][-1]:.2f}",
                         loss_of_G=lambda one: f"{one.run.history['g_loss'][-1]:.2f}")
    return table, beside.picture(judged)


# --- The command line -------------------------------------------------------------------------------------------------


def work(arguments=None):
    """Train in a process that a launcher started, on what the notebook would take, for as long as it would."""
    parser = argparse.ArgumentParser(prog="further.many", description="One of several processes that train together.")
    parser.add_argument("--across", action="store_true", help="BatchNorm of all processes' batches together")
    given = parser.parse_args(arguments)
    device = together.join()
    torch.manual_seed(0)
    own = course.set_up(device=device)
    first = int(os.environ.get("LOCAL_RANK", 0)) == 0
    for turn in (True, False):  # the first of each machine draws and decodes, the others find what it made
        if turn == first:
            data_dir = helper.find_faces()
            loader = own.get_dataloader(own.batch_size, own.image_size, data_dir)
        dist.barrier()
    train_on_each(own, loader, f"{helper.results_folder(data_dir)}/checkpoints", helper.epochs(default=6), given.across)
    dist.destroy_process_group()


def main():
    gpus = torch.cuda.device_count()
    try:
        os.environ |= together.from_slurm(os.environ)
        if "RANK" in os.environ:
            return work()
    except FaceError as error:
        sys.exit(f"further.many: {error}")
    if gpus > 1:
        sys.exit(subprocess.call([sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={gpus}",
                                  "-m", "further.many", *sys.argv[1:]]))
    beside.main("many", __doc__, measure, images=15_000)


if __name__ == "__main__":
    main()
