"""Progressive growing of GANs for improved quality, stability, and variation. Karras, Aila, Laine and Lehtinen, 2018.

https://arxiv.org/abs/1710.10196

    python -m further.progressive                     grow from 4 x 4 to 32 x 32
    python -m further.progressive FOLDER --size 64    photographs, 64 or 128 pixels

The idea: a picture of 4 x 4 has a face's colours and no more, and is learned in seconds. So both networks begin there,
and layers for twice the size are added again and again. Each time the new layers fade in, so that what was learned is
not thrown over. Most batches are small pictures, which cost little; what large ones add is only their detail.

What differs from the notebook: networks that grow (growing.py). There pixels are repeated, then convolved; no BatchNorm,
each pixel is normalised by itself; weights are scaled where they are used; D sees how much a batch differs. Besides, 16
pictures a batch, and Adam's betas are 0 and 0.99. The losses are the notebook's, where the paper has WGAN-GP. Traps:
- Real pictures must fade in with the new layers, made small by the mean of 2 x 2, as D's fading does it.
- The paper writes a layer's weight as w / c, with He's constant c. What is meant is w times sqrt(2 / fan_in).
- Adam's averages are cleared at each new size. The paper does not say so; its authors' code does it, and once more when
  a size has faded in. That code also divides the gain of G's first layer by 4; here it is the formula's.
- Sizes that shared the images would leave nearly all the time to the last one; here they share the seconds.
- All weights are about 1, and a step of Adam moves each by about its rate. The paper's 0.001 is for hundreds of thousands
  of steps, of networks of 512 channels. Here are a few thousand and 16 to 128, so the rate is 0.01.

Measured on photographs, two seeds, some 165 seconds of one core: Fréchet 0.036 and 0.033 growing, 0.030 and 0.043 at
constant size: not told apart. The notebook's recipe has 0.022 and 0.023. README.md has the tables.
"""

import math
from functools import partial
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

import helper
from common import FaceError
from further import beside, course
from further.growing import Discriminator, Generator, down, fade, up

SIZES = 32, 64, 128
GROWN, CONSTANT = "growing", "constant size"
HALF_LIFE = 100  # batches after which a generator counts half in the average (the paper's decay of 0.999: 693)


# --- Section 2: growing -----------------------------------------------------------------------------------------------


def stage(share, full):
    """The size to train at, and alpha, when a share in [0, 1] of the training is done: int, float in [0, 1].

    p goes evenly from 4 to 2 * full. The size is the power of two below it, so that each gets twice as much of the
    training as the one before it: 1/15, 2/15, 4/15 and 8/15 for 32. alpha goes from 0 to 1 in the first half of that.
    """
    p = 4 + share * (2 * full - 4)
    size = min(full, 2 ** int(math.log2(p)))
    return size, min(1.0, 2 * (p / size - 1)) if size > 4 else 1.0


def faded(real_images, size, alpha):
    """Real pictures as D is to see them, (B, 3, S, S) -> (B, 3, size, size): what size / 2 lacks comes in with alpha."""
    x = F.avg_pool2d(real_images, real_images.shape[-1] // size)
    return fade(up(down(x)), x, alpha)


def averaged(G):
    """An exponential moving average of G's weights, half-life HALF_LIFE batches; size and alpha are G's latest."""
    return AveragedModel(G, multi_avg_fn=get_ema_multi_avg_fn(0.5 ** (1 / HALF_LIFE)))


# --- Training ---------------------------------------------------------------------------------------------------------


class Began(dict):
    """When training at each size began: {size: (images, seconds)}. A checkpoint keeps it."""

    def state_dict(self):
        return dict(self)

    def load_state_dict(self, state):
        self.update(state)


def share_done(run, loader):
    """How much of a run is done, 0 to 1: of its seconds where it has so many, or else of its batches."""
    if math.isfinite(run.limit):
        return min(1.0, run.seconds / run.limit)
    return (run.epoch * len(loader) + run.batch) / (run.total * len(loader))


def train(own, began, when, run, loader):
    """The notebook's `train`, but that before each batch `when`, a function of the share done, says size and alpha.

    At a new size both optimizers forget what they know of the gradients: these are others now.
    """
    device = next(own.G.parameters()).device
    own.D.train(), own.G.train()
    with run:
        for _epoch in run.epochs():
            for real_images, _ in run.batches(loader):
                size, alpha = when(share_done(run, loader))
                own.G.size.fill_(size), own.G.alpha.fill_(alpha), own.D.alpha.fill_(alpha)
                if size not in began:
                    began[size] = run.images, run.seconds
                    own.d_optimizer.state.clear(), own.g_optimizer.state.clear()
                real_images = faded(own.mirror_half(real_images.to(device, non_blocking=True)), size, alpha)
                with helper.fast_math(device):
                    fake_images = own.G(own.random_z(len(real_images), own.z_size, device))
                    d_loss = own.discriminator_step(own.D, own.G, real_images, own.d_optimizer, fake_images)
                    g_loss = own.generator_step(own.D, own.G, len(real_images), own.g_optimizer, fake_images)
                own.G_average.update_parameters(own.G)
                run.record(d_loss=d_loss, g_loss=g_loss)


def system(full, growing):
    """The System of these networks for pictures of full x full, grown or of that size from the start (appendix A.1)."""
    own = course.set_up(image_size=full, Discriminator=Discriminator, Generator=Generator, averaged=averaged,
                        batch_size=16, learning_rate=0.01, betas=(0.0, 0.99))
    when = partial(stage, full=full) if growing else lambda share: (full, 1.0)
    began = Began()
    return beside.System(own, loop=partial(train, own, began, when), parts={**course.parts_of(own), "began": began},
                         settings={"growing": growing})


# --- Section 6.2: what growing does -----------------------------------------------------------------------------------


def by_scale(faces, reals):
    """Sliced Wasserstein x 1000 at each level of detail, of faces, uint8 (N, 3, S, S): {level: text}, finest first."""
    found = helper.sliced_wasserstein(faces / 255, reals / 255, generator=torch.Generator().manual_seed(0))
    return {f"{width} pixels": f"{distance:.1f}" for width, distance in found.items() if width != "mean"}


def tables(judged, data):
    """Markdown: the distances, those of each level of detail, and images and seconds of each size of the grown ones."""
    floor, sizes = by_scale(data.photographs[: len(data.reals)], data.reals), []
    scales = [["real faces", "", *floor.values()]]
    for one in judged:
        scales.append([one.name, str(one.seed), *by_scale(one.faces, data.reals).values()])
        began = one.system.parts["began"] if one.name == GROWN else {}
        moments = [*began.values(), (one.run.images, one.run.seconds)]
        for size, ((images, seconds), (later_images, later)) in zip(began, pairwise(moments), strict=True):
            sizes.append([f"{size} x {size}", str(one.seed), f"{later_images - images:,}", f"{later - seconds:,.0f}"])
    return "\n\n".join([beside.table(judged, data),
                        beside.markdown(["sliced Wasserstein x 1000", "seed", *floor], scales),
                        beside.markdown([GROWN, "seed", "images", "seconds"], sizes)])


def draw(judged):
    """A Figure: above, faces of the same z at the end of each size; below, the first faces of each system."""
    grown = next(one for one in judged if one.name == GROWN)
    sizes = {faces.shape[-1]: (faces, seen) for faces, seen in zip(grown.run.snapshots, grown.run.seen, strict=True)}
    figure = beside.sheet(9, 4.4, dpi=110)
    above, below = figure.subfigures(2, 1, height_ratios=(1, 1.1))
    for axis, (size, (faces, seen)) in zip(above.subplots(1, len(sizes), squeeze=False)[0], sizes.items(), strict=True):
        pixels = faces[:8].repeat_interleave(grown.faces.shape[-1] // size, 2)
        pixels = pixels.repeat_interleave(grown.faces.shape[-1] // size, 3)
        beside.show(axis, pixels, 4, f"{size} x {size}, {seen:,} images", interpolation="nearest")
    shown = {name: faces[:32] for name, faces in beside.first(judged).items()}
    beside.panels(below, shown, len(shown))
    return figure


def measure(given):
    if given.size not in SIZES:
        raise FaceError(f"--size is {given.size}: give 32, 64 or 128.")
    data = beside.faces(given, given.size)
    systems = {GROWN: partial(system, given.size, growing=True), CONSTANT: partial(system, given.size, growing=False)}
    judged = beside.compare(systems, data, given, base=lambda: beside.System(course.set_up(image_size=given.size)))
    return tables(judged, data), draw(judged)


if __name__ == "__main__":
    size = {"type": int, "default": 32, "help": "pixels along a side of the faces: 32, 64 or 128 (default 32)"}
    beside.main("progressive", __doc__, measure, images=40_000, options={"--size": size})
