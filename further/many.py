"""Training on several GPUs, with the notebook's own cells: one process for each GPU, the gradients averaged.

    python -m further.many                  on all GPUs of this machine; FACE_DATA and FACE_EPOCHS as for the notebook
    torchrun ... -m further.many            the same, started by PyTorch's launcher with its settings, or by accelerate's

Each process takes its share of the batches and draws its own z. After each `backward` the processes average their
gradients (PyTorch's DistributedDataParallel), so that all keep the same weights. BatchNorm's statistics stay each process's
own: sending them around between two passes of D would change what the first one saved. The first process writes the
checkpoints, where the notebook looks for them: when it is done, the notebook's training cell finds the finished run and
takes its weights.
"""

import subprocess
import sys

import torch

import helper
from common import FaceError
from further import course


def train_on_each(own, loader, folder, epochs):
    """Train in one of several processes: `train` on a GPU of its own, with its share of the batches and z of its own.

    own: what course.set_up gave, on the CPU; loader: the whole data's; folder: where the checkpoints go.
    """
    from accelerate import Accelerator, DistributedDataParallelKwargs

    accelerator = Accelerator(kwargs_handlers=[DistributedDataParallelKwargs(broadcast_buffers=False)])
    torch.manual_seed(torch.initial_seed() + accelerator.process_index)
    plain_D, plain_G = own.D.to(memory_format=torch.channels_last), own.G.to(memory_format=torch.channels_last)
    D, G, share = accelerator.prepare(plain_D, plain_G, loader)
    G.z_size = plain_G.z_size
    parts = course.parts_of(own) | {"D": D, "G": G, "G_average": own.averaged(plain_G)}
    sample = helper.FixedFaces(parts["G_average"], own.random_z(32, G.z_size, accelerator.device))
    settings = {"faces": helper.data_key(loader), "image_size": own.image_size, "batch_size": own.batch_size}
    run = helper.TrainingRun(folder, epochs, sample, settings, **parts)
    own.train(loader=share, discriminator_step=own.discriminator_step, generator_step=own.generator_step, run=run, **parts)


def main():
    try:
        from accelerate import PartialState
    except ImportError:
        sys.exit("further.many: accelerate is missing: pip install accelerate")
    if not torch.distributed.is_torchelastic_launched():
        gpus = torch.cuda.device_count()
        if gpus < 2:
            sys.exit("further.many: fewer than two GPUs: the notebook itself trains on one, or on the CPU.")
        sys.exit(subprocess.call([sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={gpus}",
                                  "-m", "further.many"]))
    torch.manual_seed(0)
    own = course.set_up(device=torch.device("cpu"))
    with PartialState().main_process_first():  # it draws and decodes, the others find what it made
        data_dir = helper.find_faces()
        loader = own.get_dataloader(own.batch_size, own.image_size, data_dir)
    train_on_each(own, loader, f"{helper.results_folder(data_dir)}/checkpoints", helper.epochs(default=6))


if __name__ == "__main__":
    try:
        main()
    except FaceError as error:
        sys.exit(f"further.many: {error}")
