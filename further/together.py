"""Several processes that train together: how they meet, what each gets of the data, BatchNorm of all their batches.

For many.py, which trains with them. All of it runs on CPUs too; torch.distributed carries what they send each other.
"""

import math
import os
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn
from torch.utils.data import Sampler

from common import FaceError

# --- Meeting the others -----------------------------------------------------------------------------------------------


def from_slurm(environ):
    """What torchrun would have set, from what SLURM's `srun` sets: {"RANK": ..., ...}; {} where srun started no group.

    The first process's machine is MASTER_ADDR, or else the one that srun was called on, as in a file for sbatch.
    Raises: FaceError if neither is known.
    """
    if "RANK" in environ or int(environ.get("SLURM_NTASKS", 1)) < 2 or "SLURM_PROCID" not in environ:
        return {}
    address = environ.get("MASTER_ADDR") or environ.get("SLURM_LAUNCH_NODE_IPADDR")
    if not address:
        raise FaceError("SLURM does not say where the first process is: start by srun, or set MASTER_ADDR to its machine.")
    port = environ.get("MASTER_PORT") or str(20000 + int(environ.get("SLURM_JOB_ID", 0)) % 10000)  # two jobs, two ports
    return {"RANK": environ["SLURM_PROCID"], "WORLD_SIZE": environ["SLURM_NTASKS"],
            "LOCAL_RANK": environ.get("SLURM_LOCALID", "0"), "MASTER_ADDR": address, "MASTER_PORT": port}


def join():
    """Meet the other processes that RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT tell of. Returns: this one's device."""
    if not torch.cuda.is_available():
        dist.init_process_group("gloo")
        return torch.device("cpu")
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)) % torch.cuda.device_count())  # SLURM may show but one
    torch.cuda.set_device(device)
    dist.init_process_group("cpu:gloo,cuda:nccl")
    return device


def see_the_same(folder):
    """Raise a FaceError, in every process, if one of them would go on from another checkpoint than the first."""
    seen = [None] * dist.get_world_size()
    dist.all_gather_object(seen, folder and sorted(path.name for path in Path(folder).glob("[0-9]*.pt")))
    for rank, names in enumerate(seen):
        if names != seen[0]:
            raise FaceError(f"process {rank} does not see the checkpoints that process 0 sees in {folder}: start all in a "
                            "folder that all machines share.")


# --- The data ---------------------------------------------------------------------------------------------------------


class Share(Sampler):
    """The batches of this process: of the order that the first draws, the k-th n * B pictures are cut into n batches of B.

    The last ones are filled up from the order's beginning. loader: the whole data's, with batches of B.
    """

    def __init__(self, loader):
        self.sampler, self.batch_size = loader.batch_sampler.sampler, loader.batch_sampler.batch_size

    def __len__(self):
        return math.ceil(len(self.sampler) / (self.batch_size * dist.get_world_size()))

    def __iter__(self):
        order = torch.tensor(list(self.sampler))
        dist.broadcast(order, 0)
        filled = order[torch.arange(len(self) * self.batch_size * dist.get_world_size()) % len(order)]
        yield from filled.view(len(self), -1, self.batch_size)[:, dist.get_rank()].tolist()


# --- BatchNorm --------------------------------------------------------------------------------------------------------


class SumOverAll(torch.autograd.Function):
    """The sum of all processes' x, of any shape; its gradient is the sum of all processes' gradients."""

    @staticmethod
    def forward(ctx, x):
        total = x.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx, gradient):
        return SumOverAll.forward(ctx, gradient)


class BatchNormAcross(nn.BatchNorm2d):
    """BatchNorm with mean and variance of all processes' batches: x (B, C, H, W); in eval() it is BatchNorm2d."""

    def forward(self, x):
        if not self.training:
            return super().forward(x)
        wide = x.float()
        own = wide.sum((0, 2, 3)), wide.square().sum((0, 2, 3)), wide.new_tensor([wide[:, 0].numel()])
        sums = SumOverAll.apply(torch.cat(own))
        count = sums[-1].detach()
        mean, square = (sums[:-1] / count).chunk(2)
        variance = square - mean**2
        with torch.no_grad():
            self.num_batches_tracked += 1
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * count / (count - 1), self.momentum)
        mean, slope = mean.view(-1, 1, 1), (self.weight * torch.rsqrt(variance + self.eps)).view(-1, 1, 1)
        return ((wide - mean) * slope + self.bias.view(-1, 1, 1)).to(x.dtype)


def norm_across(network):
    """Make every BatchNorm2d of a network a BatchNormAcross, in place; its weights stay those that the optimizer holds."""
    for module in network.modules():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = BatchNormAcross
