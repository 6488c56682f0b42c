"""For test_many.py: the notebook's training by several processes on the CPU, each a program of its own.

    torchrun ... tests/many.py FOLDER CASE...
    python tests/many.py FOLDER --fork            the other cases: two processes, forked by accelerate, and then one alone

For each case, what process R saw and ended with goes to FOLDER/CASE/R.pt, and the launcher's error to FOLDER/CASE/error.
"""

import os
import signal
import socket
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import torch  # noqa: E402
import torch.distributed as dist  # noqa: E402
from tiny import Z_SIZE, names  # noqa: E402
from torch import nn  # noqa: E402
from torch.utils.data import DataLoader  # noqa: E402

import helper  # noqa: E402
from further import many, together  # noqa: E402

PICTURES, TOGETHER, STEPS = 96, 32, 3  # the exact cases: 32 pictures in all in each step, three steps an epoch
BATCH = 8  # pictures for each process in the others
EXACT = {"exact", "normed", "apart"}  # without BatchNorm; with that across processes; with each process's own
EPOCHS = {"resumed": 3, "shrunk_to_1": 3}
FORKED = ("shrunk_to_2", "real", "resumed", "raises", "killed")
ALONE = ("shrunk_to_1", "exact", "normed", "apart")
FOLDERS = {"resumed": "real", "shrunk_to_2": "stopped", "shrunk_to_1": "stopped"}  # whose checkpoints they go on with


def without(network, *kinds):
    """Take layers out: without BatchNorm and dropout each picture is treated alone, so that a batch may be split."""
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, kinds):
                setattr(parent, name, nn.Identity())
    return network


def train(case, folder):
    """Train with further.many's `train_on_each` in this process, which has joined, and write down what happened."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    own, shared_z, saw = names, torch.Generator().manual_seed(3), {"z": [], "pictures": [], "losses": []}
    step, rank, processes = own.discriminator_step, dist.get_rank(), dist.get_world_size()
    kept = {name: getattr(own, name) for name in ("random_z", "discriminator_step", "mirror_half")} | {
        "TrainingRun": helper.TrainingRun}
    batch = TOGETHER // processes if case in EXACT else BATCH

    def random_z(count, z_size, device):
        if case in EXACT:  # this process's part of what one alone would draw
            z = torch.randn(TOGETHER, z_size, generator=shared_z)[rank * batch:][:count]
        else:
            z = kept["random_z"](count, z_size, device)
        saw["z"].append(z)
        return z

    def discriminator_step(D, G, real_images, d_optimizer, fake_images):
        if rank == 1 and len(saw["losses"]) == 2:
            if case == "raises":
                raise RuntimeError("the second process met its end")
            if case == "killed":
                os.kill(os.getpid(), signal.SIGKILL)
        saw["pictures"] += real_images.mean((1, 2, 3)).tolist()
        return step(D, G, real_images, d_optimizer, fake_images)

    class Run(helper.TrainingRun):
        KEEP_AFTER = 0.0

        def record(self, **losses):
            saw["losses"].append([loss.item() for loss in losses.values()])
            super().record(**losses)
            if case == "stopped" and len(saw["losses"]) == STEPS + 1:  # as by Kernel > Interrupt, in the second epoch
                self._interrupted_at = time.monotonic()

    D, G = names.build_network(4, 4, Z_SIZE)
    if case != "real":
        own.mirror_half = lambda images: images
    if case in EXACT:
        for network in (D, G):
            without(network, nn.Dropout, *([nn.BatchNorm2d] if case == "exact" else []))
    own.random_z, own.discriminator_step, own.D, own.G, own.batch_size = random_z, discriminator_step, D, G, batch
    own.image_size = 32
    helper.TrainingRun = Run
    helper.fast_math = lambda device: torch.autocast(device.type, enabled=False)

    images = torch.rand(PICTURES, 3, 4, 4, generator=torch.Generator().manual_seed(1)).mul(255)
    images = nn.functional.interpolate(images, 32, mode="bilinear").to(torch.uint8)
    faces = helper.DecodedFaces(images, torch.zeros(PICTURES))
    loader = DataLoader(faces, batch, shuffle=case not in EXACT, collate_fn=list)
    for name, network in {"d_optimizer": D, "g_optimizer": G}.items():
        if case in ("normed", "apart"):  # Adam would blow the rounding of a gradient near zero up to a whole step
            setattr(own, name, torch.optim.SGD(network.parameters(), 0.001))
        else:
            setattr(own, name, torch.optim.Adam(network.parameters(), 1e-3, (0.5, 0.999), fused=True))
    own.G_average = own.averaged(G)
    checkpoints = folder / FOLDERS.get(case, case) / ("alone" if processes == 1 and case in EXACT else "checkpoints")
    run = many.train_on_each(own, loader, checkpoints, EPOCHS.get(case, 2), across=case == "normed")
    saw |= {"D": D.state_dict(), "G": G.state_dict(), "images": run.images, "epoch": run.epoch, "batch": run.batch}
    torch.save(saw, folder / case / ("alone.pt" if processes == 1 and case in EXACT else f"{rank}.pt"))
    for name, value in kept.items():
        setattr(helper if name == "TrainingRun" else own, name, value)


def forked(case, folder):
    together.join()
    train(case, folder)


if __name__ == "__main__":
    folder, *cases = sys.argv[1:]
    folder = Path(folder)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
    if cases == ["--fork"]:
        from accelerate import notebook_launcher

        for case in FORKED:
            try:
                notebook_launcher(forked, (case, folder), num_processes=2, use_port=port)
            except Exception as error:
                (folder / case / "error").write_text(str(error))
        os.environ |= {"RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        cases = ALONE
    together.join()
    for case in cases:
        train(case, folder)
    dist.destroy_process_group()
