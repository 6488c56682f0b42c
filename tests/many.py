"""For test_many.py: the notebook's training by two processes on the CPU. A program of its own, since it forks.

    python tests/many.py FOLDER

For each case, what process R saw and ended with goes to FOLDER/CASE/R.pt, and the launcher's error to FOLDER/CASE/error.
"""

import os
import signal
import socket
import sys
from pathlib import Path

os.environ["ACCELERATE_USE_CPU"] = "yes"
ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import torch  # noqa: E402
import torch.distributed as dist  # noqa: E402
from accelerate import notebook_launcher  # noqa: E402
from tiny import Z_SIZE, names  # noqa: E402
from torch import nn  # noqa: E402
from torch.utils.data import DataLoader  # noqa: E402

import helper  # noqa: E402
from further.many import train_on_each  # noqa: E402

PICTURES, BATCH, EPOCHS = 96, 8, 2  # one process alone takes batches of 2 * BATCH


def without_norm(network):
    """Take BatchNorm and dropout out: what is left treats each picture alone, so that a batch may be split."""
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.BatchNorm2d | nn.Dropout):
                setattr(parent, name, nn.Identity())
    return network


def train(case, folder, batch):
    """Train with further.many's `train_on_each` in this process, and write down what happened."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    own, shared_z, saw = names, torch.Generator().manual_seed(3), {"z": [], "pictures": [], "losses": []}
    step, own_random_z = own.discriminator_step, own.random_z

    def rank():
        return dist.get_rank() if dist.is_initialized() else 0

    def random_z(count, z_size, device):
        if case == "exact":  # this process's part of what one alone would draw
            z = torch.randn(2 * BATCH, z_size, generator=shared_z)[rank() * BATCH:][:count]
        else:
            z = own_random_z(count, z_size, device)
        saw["z"].append(z)
        return z

    def discriminator_step(D, G, real_images, d_optimizer, fake_images):
        if rank() == 1 and len(saw["losses"]) == 2:
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

    D, G = names.build_network(4, 4, Z_SIZE)
    if case == "exact":
        D, G = without_norm(D), without_norm(G)
        own.mirror_half = lambda images: images
    own.random_z, own.discriminator_step, own.D, own.G, own.batch_size = random_z, discriminator_step, D, G, batch
    helper.TrainingRun = Run
    helper.fast_math = lambda device: torch.autocast(device.type, enabled=False)

    images = torch.rand(PICTURES, 3, 4, 4, generator=torch.Generator().manual_seed(1)).mul(255)
    images = nn.functional.interpolate(images, 32, mode="bilinear").to(torch.uint8)
    faces = helper.DecodedFaces(images, torch.zeros(PICTURES))
    loader = DataLoader(faces, batch, shuffle=case != "exact", collate_fn=list)
    own.d_optimizer, own.g_optimizer = (torch.optim.Adam(network.parameters(), 1e-3, (0.5, 0.999), fused=True)
                                        for network in (D, G))
    checkpoints = folder / ("real" if case == "resumed" else case) / ("alone" if batch > BATCH else "checkpoints")
    epochs = EPOCHS + 1 if case == "resumed" else EPOCHS
    own.G_average = own.averaged(G)
    train_on_each(own, loader, checkpoints, epochs)
    saw |= {"D": D.state_dict(), "G": G.state_dict()}
    torch.save(saw, folder / case / ("alone.pt" if batch > BATCH else f"{rank()}.pt"))


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return str(s.getsockname()[1])


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    for case in ("exact", "real", "resumed", "raises", "killed"):
        (folder / case).mkdir()
        try:
            notebook_launcher(train, (case, folder, BATCH), num_processes=2, use_port=free_port())
        except Exception as error:
            (folder / case / "error").write_text(str(error))
    train("exact", folder, 2 * BATCH)
