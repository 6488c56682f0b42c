"""The notebook's training loop for an NVIDIA GPU: a batch is two CUDA graphs, and the pictures lie on the GPU.

A batch of 32 is some hundreds of small operations. A GPU does each of them sooner than Python asks for the next, and so it
mostly waits. A CUDA graph is a list of operations that is recorded once and then started as a whole. What is recorded here
is a batch up to D's step, and from there to G's: the notebook's own functions, called once each. The optimizers' steps and
the moving average stay outside, so that a learning rate may fall. The numbers are those of the notebook's `train`.

In the notebook, in place of `train(...)`, after `from further import fast`:

    history = fast.train(D, G, G_average, loader, d_optimizer, g_optimizer, discriminator_step, generator_step, run,
                         mirror_half, random_z)

What a step does in Python it does while recording only: one that prints, counts, reads a loss with .item() or does something
else at every fourth batch is for the notebook's `train`. benchmarks/README.md, "On a GPU", has both measured.
"""

import torch
from torch.utils.data import DataLoader

import helper
from common import FaceError

AS_USUAL = 3  # batches before anything is recorded: PyTorch chooses algorithms and makes the optimizers' states


def train(D, G, G_average, loader, d_optimizer, g_optimizer, discriminator_step, generator_step, run, mirror_half, random_z):
    """Train as the notebook's `train` does, with the same arguments and two more of the notebook's functions.

    Returns: history, as there.
    Raises: FaceError if the networks are not on an NVIDIA GPU, and if a step waits for the GPU and cannot be recorded.
    """
    device = next(G.parameters()).device
    if device.type != "cuda":
        raise FaceError(f"fast.train needs an NVIDIA GPU, and the networks are on {device}: use the notebook's train.")
    side = torch.cuda.Stream(device)  # recording is not allowed on the stream that all work is on by default
    side.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(side):
        history = _train(D, G, G_average, on_device(loader, device), d_optimizer, g_optimizer, discriminator_step,
                         generator_step, run, mirror_half, random_z, record)
    torch.cuda.current_stream(device).wait_stream(side)
    return history


def loop(own):
    """The same for `course.fit`, as its loop; own: what `course.set_up` gave."""

    def train_own(run, loader):
        train(own.D, own.G, own.G_average, loader, own.d_optimizer, own.g_optimizer, own.discriminator_step,
              own.generator_step, run, own.mirror_half, own.random_z)

    return train_own


def on_device(loader, device):
    """The loader's batches, out of the device's memory where its pictures are decoded already."""
    faces = getattr(loader, "dataset", None)
    if not isinstance(faces, helper.DecodedFaces):
        return loader
    faces = helper.DecodedFaces(faces.images.to(device), faces.labels.to(device))
    return DataLoader(faces, batch_sampler=loader.batch_sampler, collate_fn=list, generator=loader.generator)


class Held:
    """An optimizer for the steps that are recorded: its own step waits."""

    def __init__(self, optimizer):
        self.optimizer = optimizer

    def zero_grad(self):
        self.optimizer.zero_grad()

    def step(self):
        pass


def _train(D, G, G_average, loader, d_optimizer, g_optimizer, discriminator_step, generator_step, run, mirror_half, random_z,
           record):
    device = next(G.parameters()).device
    now = {}  # the fakes and losses of the batch at work; when graphs do the work, they lie in the same places every time
    D.train(), G.train()

    def up_to_d(real_images, optimizer):
        with helper.fast_math(device):
            real_images = mirror_half(real_images)
            now["fakes"] = G(random_z(len(real_images), G.z_size, device))
            now["d_loss"] = discriminator_step(D, G, real_images, optimizer, now["fakes"])

    def from_d(optimizer):
        with helper.fast_math(device):
            now["g_loss"] = generator_step(D, G, len(now["fakes"]), optimizer, now["fakes"])

    def as_usual(real_images):
        up_to_d(real_images, d_optimizer)
        from_d(g_optimizer)
        return now

    def recorded(real_images):
        """Two graphs for batches of this length. Returns: a function of such a batch, as as_usual."""
        batch = real_images.clone()
        first = record(lambda: up_to_d(batch, Held(d_optimizer)))
        second = record(lambda: from_d(Held(g_optimizer)), first)
        written, of_d, of_g = dict(now), gradients(D), gradients(G)

        def started(real_images):
            batch.copy_(real_images)
            first.replay()
            take(d_optimizer, D, of_d)
            second.replay()
            take(g_optimizer, G, of_g)
            return written

        return started

    graphs, batches = {}, 0  # by the length of a batch: an epoch's last one is often shorter
    with run:
        for _epoch in run.epochs():
            for real_images, _ in run.batches(loader):
                real_images = real_images.to(device)
                if batches >= AS_USUAL and len(real_images) not in graphs:
                    graphs[len(real_images)] = recorded(real_images)
                losses = graphs.get(len(real_images), as_usual)(real_images)
                G_average.update_parameters(G)
                run.record(d_loss=losses["d_loss"].clone(), g_loss=losses["g_loss"].clone())
                batches += 1
    return run.history


def record(function, before=None):
    """Record what a function asks of the GPU, as a torch.cuda.CUDAGraph; before: the graph that is always started first,
    whose memory it shares. Raises: FaceError if the function waits for an answer of the GPU.
    """
    graph = torch.cuda.CUDAGraph()
    try:
        with torch.cuda.graph(graph, before and before.pool(), torch.cuda.current_stream()):
            function()
    except RuntimeError as error:
        raise FaceError(f"a step cannot be recorded as a CUDA graph ({str(error).splitlines()[0]}): does it read a number "
                        "from the GPU, with .item() or print? Restart the kernel, and use the notebook's train.") from error
    return graph


def gradients(network):
    return [weight.grad for weight in network.parameters()]


def take(optimizer, network, gradients):
    """Let the optimizer take its step with these gradients."""
    for weight, gradient in zip(network.parameters(), gradients, strict=True):
        weight.grad = gradient
    optimizer.step()
