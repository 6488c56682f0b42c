"""Convolution arithmetic (Dumoulin and Visin, 2016) and checkerboards (Odena, Dumoulin and Olah, 2016).

A guide to convolution arithmetic for deep learning: https://arxiv.org/abs/1603.07285
Deconvolution and checkerboard artifacts: https://distill.pub/2016/deconv-checkerboard

    python -m further.arithmetic                     sixteen cases, then three generators
    python -m further.arithmetic FOLDER --seeds 0 1  on photographs

The idea: a transposed convolution is a plain one over an input that was stretched with zeros (convolutions.py, with the
sixteen cases). Where its kernel is no multiple of its stride, some output pixels are painted by more inputs than their
neighbours are: a checkerboard.

What differs from the notebook: one layer in each doubling of its generator. The notebook's own has kernel 4, stride 2;
beside it kernel 3, stride 2 (1, 2 or 4 inputs to a pixel), and pictures made twice as large before a convolution of
stride 1, which has no stride to show. All three see as many images. The two convolutions of stride 1 at the generator's
end, which can smooth a checkerboard, are left as they are.

Measured with 11,000 photographs, 5,000 images, seeds 0 and 1, in millionths of the energy of 1,000 pictures: 76 at the
stride's frequency in photographs. Untrained: 111,000 and 164,000 with kernel 3, 107,000 and 133,000 with kernel 4, 1,200
and 1,400 with resize. Trained: 618 and 546, 412 and 819, 109 and 123. Resize leaves least; that kernel 4 paints every
pixel from as many inputs as its neighbours makes no difference that two seeds show. After 120,000 images none of the
three is told from photographs: 83 and 79, 72 and 78, 73 and 75.
"""

import torch
from torch import nn

import helper
from further import beside, convolutions, course

# --- Checkerboards ----------------------------------------------------------------------------------------------------


def doubling(Generator, make):
    """The class Generator with make(n_in, n_out) in place of each transposed convolution of stride 2 in its `layers`."""

    class Other(Generator):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self.layers = nn.Sequential(*(
                make(old.in_channels, old.out_channels) if getattr(old, "stride", None) == (2, 2) else old
                for old in self.layers))

    return Other


def kernel_3(n_in, n_out):
    return nn.ConvTranspose2d(n_in, n_out, 3, stride=2, padding=1, output_padding=1, bias=False)


def kernel_4(n_in, n_out):
    return nn.ConvTranspose2d(n_in, n_out, 4, stride=2, padding=1, bias=False)


def resize(n_in, n_out):
    """Each pixel four times, as Odena et al. have it, then a convolution."""
    return nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(n_in, n_out, 3, padding=1, bias=False))


DOUBLINGS = {"kernel 3, stride 2": kernel_3, "kernel 4, stride 2": kernel_4, "resize, kernel 3": resize}


def stride_energy(images):
    """The share of the pictures' energy that is at the frequencies of stride 2: one pixel up, the next one down, along the
    rows, the columns or both. 0 to 1; a picture's mean does not count. A checkerboard has 1, noise about 0.003.

    images: (N, C, S, S) of any range, S even. They are mirrored at their last row and column, because a spectrum takes a
    picture for one of many in a row, and would count the jump from its right side to the next one's left.
    """
    mirrored = torch.cat((images, images[..., 1:-1].flip(-1)), -1)
    mirrored = torch.cat((mirrored, mirrored[..., 1:-1, :].flip(-2)), -2)
    energy = torch.fft.fft2(mirrored.double()).abs().square().sum((0, 1))
    energy[0, 0] = 0
    half = images.shape[-1] - 1
    return (energy[::half, ::half].sum() / energy.sum()).item()


def checkerboards(data, given):
    """Train the notebook's generator with each doubling on given.images, for each of given.seeds.

    Returns: Markdown with their energy at the stride's frequency before and after; the trained ones, list of beside.Judged.
    """

    def energy(pictures):
        return f"{1e6 * stride_energy(pictures):,.0f}"

    Generator, count = course.load().Generator, len(data.reals)
    rows, judged = [["real faces", "", "", "", "-", energy(data.reals)]], []
    for seed in given.seeds:
        for name, make in DOUBLINGS.items():
            print(f"\n{name}, seed {seed}", flush=True)
            torch.manual_seed(seed)
            own = course.set_up(Generator=doubling(Generator, make))
            system, untrained = beside.System(own), own.random_z(count, own.z_size, own.device)
            before = energy(helper.FixedFaces(own.G, untrained)())
            run = beside.train(system, data.photographs, given.images, beside.kept(given, f"{name}, seed {seed}"))
            faces = beside.made(system, count)
            judged.append(beside.Judged(name, seed, run, system, faces))
            rows.append([*beside.done(judged[-1]), before, energy(faces)])
    headings = ["millionths of the energy at the stride's frequency", "seed", "images", "seconds", "untrained", "trained"]
    return beside.markdown(headings, rows), judged


def draw(judged):
    """A Figure: a frame from the middle of each case, and below them the first faces of each generator."""
    figure = beside.sheet(13, 8, dpi=90)
    above, below = figure.subfigures(2, 1, height_ratios=(2.2, 1))
    for axis, case in zip(above.subplots(4, 4).flatten(), convolutions.CASES, strict=True):
        shown = convolutions.frames(case)
        title = f"{case.name}: i {case.i}, k {case.k}, s {case.s}, p {case.p}, o {convolutions.output_size(case)}"
        beside.show(axis, shown[len(shown) // 2], 2, title)
    beside.panels(below, {name: faces[:24] for name, faces in beside.first(judged).items()}, 3, fontsize=10)
    return figure


def measure(given):
    data = beside.faces(given)
    folder = beside.RESULTS / "arithmetic"
    print(f"{convolutions.animate(folder)}\n\nEach case moves in {folder}.", flush=True)
    text, judged = checkerboards(data, given)
    return text, draw(judged)


if __name__ == "__main__":
    beside.main("arithmetic", __doc__, measure, images=30_000)
