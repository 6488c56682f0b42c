"""Where does the time of a training step go? The notebook's own loop under PyTorch's profiler, share by share.

    python -m benchmarks.step              32 x 32
    python -m benchmarks.step --size 64

A share is the time that PyTorch's operations of a kind took themselves, of the wall time of all steps. What is left over is
Python: the loop, the optimizer's and the average's bookkeeping, the calls of the operations. The profiler itself slows
small operations down, so the convolutions' share is rather more in an ordinary run. A minute or two.
"""

import argparse
import collections
import contextlib
import io

import torch
from torch.profiler import ProfilerActivity, profile

import helper
from further import course

STEPS = 60
WARM_UP = 10
# Name of a share: what the names of its operations, or of those that call them, hold; the first that fits
SHARES = {
    "convolutions, backward": ("convolution_backward", "ConvolutionBackward"),
    "convolutions, forward": ("convolution", "conv2d", "conv_transpose2d"),
    "BatchNorm": ("batch_norm", "BatchNormBackward"),
    "dropout": ("dropout", "DropoutBackward"),
    "ReLU, LeakyReLU, tanh": ("relu", "Relu", "tanh", "Tanh"),
    "Adam": ("Adam.step",),
    "gradients: to zero, to float32, added up": ("zero_grad", "AccumulateGrad", "ToCopyBackward"),
    "moving average": ("lerp",),
    "picking and mirroring pictures": ("DataLoader", "aten::flip", "aten::where"),
}


def share_of(event):
    """The key of SHARES that an event of the profiler's belongs to, by its name or a caller's; or "other operations"."""
    while event:
        for share, parts in SHARES.items():
            if any(part in event.name for part in parts):
                return share
        event = event.cpu_parent
    return "other operations"


def steps(own, faces, count):
    """Train on `count` batches by the notebook's own `train`. Returns: seconds."""
    run = helper.TrainingRun(None, 1, None, {}, **course.parts_of(own))
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        own.train(own.D, own.G, own.G_average, course.loader_of(own, faces, epoch=count * own.batch_size),
                  own.d_optimizer, own.g_optimizer, own.discriminator_step, own.generator_step, run)
    return run.seconds


def shares(own, faces):
    """Return {name of a share: part of the wall time, 0 to 1}, the largest first, Python's at the end."""
    steps(own, faces, WARM_UP)
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        seconds = steps(own, faces, STEPS)
    spent = collections.Counter()
    for event in profiled.events():
        spent[share_of(event)] += event.self_cpu_time_total / 1e6 / seconds
    return {**dict(spent.most_common()), "Python": 1 - spent.total()}


def main():
    parser = argparse.ArgumentParser(prog="python -m benchmarks.step", description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=32, help="width in pixels: 32, 64 or 128 (default 32)")
    given = parser.parse_args()
    torch.manual_seed(0)
    own = course.set_up(image_size=given.size, device=torch.device("cpu"))
    faces = torch.randint(256, (2 * STEPS * own.batch_size, 3, given.size, given.size), dtype=torch.uint8)
    print(f"| {given.size} x {given.size}, batches of {own.batch_size}, {torch.get_num_threads()} threads | of the time |")
    print("|---|---:|")
    for name, part in shares(own, faces).items():
        print(f"| {name} | {part:.1%} |")


if __name__ == "__main__":
    main()
