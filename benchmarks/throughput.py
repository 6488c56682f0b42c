"""How fast does it train? The notebook's loop beside the one that learners write and beside its own convolutions alone.

    python -m benchmarks.throughput
    python -m benchmarks.throughput --device cuda --size 32

All train the notebook's networks on the same JPEG files of 64 x 64 pixels. They take turns, so that whatever else runs
on the machine slows down all of them alike: every ratio compares two of the same round, and the table shows medians.
Each row with a dash changes one thing in the notebook's loop. About eight minutes on two cores. On a GPU further/fast.py
is there as well; the ceiling, started one convolution after the other, is no limit for its graphs.
"""

import argparse
import contextlib
import copy
import functools
import io
import itertools
import statistics
import sys
import tempfile
import time
from pathlib import Path

import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import Compose, Resize, ToTensor

import helper
from benchmarks.others import IN_FLOAT32
from further import course, fast

SIZES = (32, 64, 128)  # at 128 the notebook's loop alone
IMAGES = 200_000  # whose time is given at the end
PICTURES = 2048
ROUNDS = 7
SECONDS = 1.0  # of each contestant in each round, or two batches where those take longer


# --- The contestants: each is a function of a Clock, which it iterates over for its batches -----------------------------


class Clock:
    """A loader's batches, `count` of them, and how many seconds and images the last iteration over them took.

    On a GPU a few more come first and are not counted: meanwhile further/fast.py records its graphs.
    """

    def __init__(self, loader, device):
        self.loader, self.device, self.count = loader, device, 2
        self.before = fast.AS_USUAL + 1 if device.type == "cuda" else 0

    def __len__(self):
        return self.before + self.count

    def __iter__(self):
        batches = itertools.chain.from_iterable(itertools.repeat(self.loader))  # from the start again at its end
        self.images, began = 0, self._now()
        for number, batch in enumerate(itertools.islice(batches, self.before + self.count)):
            if number == self.before:
                self.images, began = 0, self._now()
            yield batch
            self.images += len(batch[0])
        self.seconds = self._now() - began

    def _now(self):
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()


def learners_loop(folder, size, device):
    """The loop that learners of this course write, with the notebook's networks: float32, every picture decoded anew."""
    own = course.set_up(image_size=size, device=device)
    D, G = (network.to(memory_format=torch.contiguous_format) for network in (own.D, own.G))
    d_optimizer = torch.optim.Adam(D.parameters(), 2e-4, (0.5, 0.999))
    g_optimizer = torch.optim.Adam(G.parameters(), 2e-4, (0.5, 0.999))
    loss_of = nn.BCEWithLogitsLoss()

    def loop(batches):
        for real_images, _ in batches:
            count = len(real_images)
            real_images = (real_images * 2 - 1).to(device)
            ones, zeros = torch.ones(count, 1, device=device), torch.zeros(count, 1, device=device)

            d_optimizer.zero_grad()
            fake_images = G(torch.randn(count, G.z_size, device=device))
            d_loss = loss_of(D(real_images), 0.9 * ones) + loss_of(D(fake_images.detach()), zeros)
            d_loss.backward()
            d_optimizer.step()

            g_optimizer.zero_grad()
            fake_images = G(torch.randn(count, G.z_size, device=device))
            g_loss = loss_of(D(fake_images), ones)
            g_loss.backward()
            g_optimizer.step()

    return loop, DataLoader(pictures(folder, size), batch_size=128, shuffle=True)


def notebooks_loop(folder, size, device, change=None, decoded=True, by_graphs=False, **instead):
    """The notebook's `train`, with the networks and optimizers that its cells make; it keeps nothing and shows nothing.

    change: called with what course.set_up made, before training; by_graphs: train by further/fast.py, the pictures on the
    device; instead: what takes the place of the notebook's own.
    """
    own = course.set_up(image_size=size, device=device, **instead)
    if change:
        change(own)

    def loop(batches):
        run = helper.TrainingRun(None, 1, None, {}, **course.parts_of(own))
        with contextlib.redirect_stdout(io.StringIO()):
            (fast.loop if by_graphs else course.own_loop)(own)(run, batches)

    loader = DataLoader(pictures(folder, size), batch_size=own.batch_size, shuffle=True)
    loader = helper.decode_once(loader) if decoded else loader
    return loop, fast.on_device(loader, device) if by_graphs else loader


def convolutions_alone(folder, size, device):
    """The ceiling: the convolutions and linear layers of one batch of the notebook's loop, and nothing between them."""
    own = course.set_up(image_size=size, device=device)
    with helper.fast_math(device):
        fake_images, g_layers = layers_of(own.G, own.random_z(own.batch_size, own.z_size, device))
        _, d_layers = layers_of(own.D, fake_images)

    def passes(layers, weights, first_input):
        """Forward and backward of each layer: the gradients of its weights, and of its input except for the first one."""
        for number, (layer, x, gradient) in enumerate(layers):
            wanted = list(layer.parameters()) if weights else []
            torch.autograd.grad(layer(x), wanted + [x] if number or first_input else wanted, gradient)

    def loop(batches):
        for _ in batches:
            passes(g_layers, weights=True, first_input=False)  # the generated images, and G's step
            passes(d_layers, weights=True, first_input=False)  # D's step: real ones
            passes(d_layers, weights=True, first_input=False)  # and generated ones
            passes(d_layers, weights=False, first_input=True)  # G's step through D

    return loop, [torch.empty(own.batch_size, 0)[None]]


def layers_of(network, x):
    """Run the network. Returns its output and [(layer with weights, input, gradient of the output)] as they passed."""
    layers = []

    def note(layer, inputs, output):
        alone = copy.deepcopy(layer).to(output.dtype)
        alone._forward_hooks.clear()
        layers.append((alone, inputs[0].detach().to(output.dtype).requires_grad_(), torch.randn_like(output)))

    weighted = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d | nn.Linear)]
    hooks = [layer.register_forward_hook(note) for layer in weighted]
    output = network(x)
    for hook in hooks:
        hook.remove()
    return output.detach(), layers


# --- The pictures, and what is changed in the notebook's loop ------------------------------------------------------------


def write_pictures(folder, count):
    """Write `count` JPEG files of random blobs, 64 x 64 pixels and about 2 kB each, into a new folder."""
    folder.mkdir(parents=True)
    generator = torch.Generator().manual_seed(0)
    for number in range(count):
        blobs = nn.functional.interpolate(torch.rand(1, 3, 9, 9, generator=generator), 64, mode="bicubic")[0]
        pixels = blobs.clamp(0, 1).mul(255).to(torch.uint8).permute(1, 2, 0).numpy()
        Image.fromarray(pixels).save(folder / f"{number:06d}.jpg", quality=90)


def pictures(folder, size):
    return ImageFolder(folder, Compose([Resize((size, size)), ToTensor()]))


def plain_adam(own):
    for optimizer in (own.d_optimizer, own.g_optimizer):
        optimizer.param_groups[0]["fused"] = False


def contiguous(own):
    own.D.to(memory_format=torch.contiguous_format)
    own.G.to(memory_format=torch.contiguous_format)


def compiled(own, mode=None):
    own.D.compile(mode=mode)
    own.G.compile(mode=mode)


def two_passes(own):
    step = own.generator_step
    own.generator_step = lambda D, G, batch_size, g_optimizer, fake_images: step(D, G, batch_size, g_optimizer)


def all_gradients(own):
    """With a plain `backward()`, which computes the gradients of D's weights too."""

    def generator_step(D, G, batch_size, g_optimizer, fake_images):
        g_optimizer.zero_grad()
        loss = own.real_loss(D(fake_images))
        loss.backward()
        g_optimizer.step()
        return loss.detach()

    own.generator_step = generator_step


def read_at_once(own):
    def reading(step):
        return lambda *args: step(*args).item()

    own.discriminator_step, own.generator_step = reading(own.discriminator_step), reading(own.generator_step)


def contestants(device):
    """Return {name: function of (folder, size, device) that gives a loop and its loader}."""
    changed = functools.partial(functools.partial, notebooks_loop)
    found = {
        "learner's loop": learners_loop,
        "notebook's loop": notebooks_loop,
        "- convolutions in float32": changed(helper=IN_FLOAT32),
        "- without channels_last": changed(change=contiguous),
        "- pictures decoded at every use": changed(decoded=False),
        "- fakes made twice": changed(change=two_passes),
        "- all of D's gradients in G's step": changed(change=all_gradients),
        "- Adam not fused": changed(change=plain_adam),
        "- losses read at every batch": changed(change=read_at_once),
        "- with torch.compile": changed(change=compiled),
        "- with torch.compile and its CUDA graphs": changed(change=functools.partial(compiled, mode="reduce-overhead")),
        "further/fast.py": changed(by_graphs=True),
        "ceiling: convolutions alone": convolutions_alone,
    }
    with helper.fast_math(device):
        if not torch.is_autocast_enabled(device.type):
            del found["- convolutions in float32"]  # it is the notebook's loop itself
    if device.type == "cpu":  # there compiling takes longer than the notebook's whole training, and wins nothing
        found = {name: make for name, make in found.items() if "compile" not in name and "fast" not in name}
    return found


# --- The race ----------------------------------------------------------------------------------------------------------


def race(folder, size, device, making):
    """Let the contestants take turns. Returns ({name: [images/s of each round]}, remarks: list of str)."""
    running, remarks = {}, []
    for name, make in making.items():
        torch.manual_seed(0)
        began = time.perf_counter()
        loop, loader = make(folder, size, device)
        clock = Clock(loader, device)
        try:
            loop(clock)  # the first batches choose algorithms and compile
        except Exception as error:
            if "with" not in name:
                raise
            remarks.append(f"{name[2:]}: does not run here ({type(error).__name__}: {str(error).strip().splitlines()[0]})")
            continue
        if "compile" in name:
            remarks.append(f"{name[2:]}: the first batches took {time.perf_counter() - began:.0f} s")
        loop(clock)
        clock.count = max(2, round(clock.count * SECONDS / clock.seconds))
        running[name] = loop, clock
    rates = {name: [] for name in running}
    for number in range(ROUNDS):
        for name in sorted(running, reverse=number % 2):  # to and fro, so that no one always follows the same other
            loop, clock = running[name]
            loop(clock)
            rates[name].append(clock.images / clock.seconds)
    return {name: rates[name] for name in running}, remarks


def table(rates):
    """Lines of a markdown table: ratios first, each the median over the rounds of a ratio within one round."""
    def against(name, other):
        return statistics.median(a / b for a, b in zip(rates[name], rates[other], strict=True))

    learner, own, *_, ceiling = rates
    width = max(map(len, rates))
    lines = [f"| {'':{width}} | x learner's | x notebook's | of the ceiling | images/s |",
             f"|{'-' * (width + 2)}|------------:|-------------:|---------------:|---------:|"]
    for name in rates:
        lines.append(f"| {name:{width}} | {against(name, learner):11.2f} | {against(name, own):12.2f} | "
                     f"{against(name, ceiling):14.0%} | {statistics.median(rates[name]):8,.0f} |")
    return lines


def main():
    parser = argparse.ArgumentParser(prog="python -m benchmarks.throughput", description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=["cpu", "cuda"], help="this one alone (default: all that there are)")
    parser.add_argument("--size", type=int, choices=SIZES, help="this width alone (default: all)")
    given = parser.parse_args()
    there = ["cpu"] + ["cuda"] * torch.cuda.is_available()
    if given.device and given.device not in there:
        sys.exit(f"throughput.py: no device {given.device} here, only {', '.join(there)}")
    devices = [torch.device(name) for name in ([given.device] if given.device else there)]
    minutes = []
    with tempfile.TemporaryDirectory() as folder:
        write_pictures(Path(folder) / "faces", PICTURES)
        for device, size in itertools.product(devices, [given.size] if given.size else SIZES):
            making = contestants(device) if size < 128 else {"notebook's loop": notebooks_loop}
            rates, remarks = race(folder, size, device, making)
            where = f"a CPU, {torch.get_num_threads()} threads"
            if device.type == "cuda":
                where = torch.cuda.get_device_name(device)
            if size < 128:
                print(f"\n{size} x {size} on {where}; medians of {ROUNDS} rounds\n")
                print("\n".join([*table(rates), "", *remarks]), flush=True)
            rate = statistics.median(rates["notebook's loop"])
            minutes.append(f"{where}, {size} x {size}: {IMAGES / rate / 60:,.0f} minutes")
    print("\n".join([f"{IMAGES:,} images in the notebook's loop:", *minutes]))


if __name__ == "__main__":
    main()
