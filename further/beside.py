"""A system beside the notebook's recipe: the faces, the training at equal seconds, the table and the picture of it.

    def measure(given):
        data = beside.faces(given)
        judged = beside.compare({"hinge": hinge}, data, given)   # hinge: function that makes a System
        return beside.table(judged, data), beside.picture(judged)

    if __name__ == "__main__":
        beside.main("hinge", __doc__, measure, images=12_000)
"""

import argparse
import math
import sys
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from torchvision.utils import make_grid

import helper
from common import FaceError
from further import course
from measures.needs import Missing

EPOCH = 1000  # pictures between two looks at the clock
HELD_OUT = 1000  # pictures kept out of training at most, with which as many generated ones are compared
NOTEBOOK = "the notebook's"
RESULTS = Path("results/further")


class Data(NamedTuple):
    """Faces, uint8 (N, 3, S, S): those to train on, and those kept out, which generated ones are compared with."""

    photographs: torch.Tensor
    reals: torch.Tensor


class System(NamedTuple):
    """What `course.fit` is to train and how faces are made of it afterwards.

    own: what `course.set_up` gave; faces: function of a count that returns (count, 3, S, S) in [-1, 1], as they are to
    be judged (as it is, those of own.G_average); loader: a DataLoader where it is not one of the photographs alone;
    loop, parts, sample, settings, trouble: as `course.fit` takes them.
    """

    own: ModuleType
    faces: object = None
    loader: object = None
    loop: object = None
    parts: dict = None
    sample: object = None
    settings: dict = None
    trouble: object = helper.signs_of_trouble


class Judged(NamedTuple):
    """One training, done. faces: uint8 (N, 3, S, S), made with the z of no other training."""

    name: str
    seed: int
    run: helper.TrainingRun
    system: System
    faces: torch.Tensor


# --- Faces ------------------------------------------------------------------------------------------------------------


def loader_of(folder, size=32):
    """The notebook's loader of a folder of folders, decoded: its dataset has images, uint8 (N, 3, size, size), and labels.

    Raises: FaceError if there is no such folder, or no picture in it.
    """
    try:
        loader = course.load().get_dataloader(1, size, folder)
    except OSError as error:
        raise FaceError(f"{folder} is not a folder of folders of pictures: {str(error).splitlines()[0]}") from None
    return helper.decode_once(loader)


def load(folder=None, size=32):
    """The faces of a folder of folders, uint8 (N, 3, size, size). None: what find_faces finds. Raises as loader_of."""
    return loader_of(folder or helper.find_faces(), size).dataset.images


def split(photographs, held_out=HELD_OUT):
    """Keep so many of them out, a quarter at most, chosen by chance but always the same ones. Returns Data.

    Raises: FaceError if there are fewer than 100.
    """
    if len(photographs) < 100:
        raise FaceError(f"{len(photographs)} faces are too few, because a quarter is kept out: give 100 or more.")
    order = torch.randperm(len(photographs), generator=torch.Generator().manual_seed(0))
    held_out = min(held_out, len(photographs) // 4)
    return Data(photographs[order[held_out:]], photographs[order[:held_out]])


def faces(given, size=32):
    """The Data of what the command line names."""
    return split(load(given.photographs, size))


# --- Training ---------------------------------------------------------------------------------------------------------


def notebook():
    """The System that the notebook trains."""
    return System(course.set_up())


def with_steps(steps):
    """The System of the notebook's networks with other steps: those that `steps`, a function of `own`, returns."""
    own = course.set_up()
    own.discriminator_step, own.generator_step = steps(own)
    return System(own)


def made(system, count):
    """Faces of a system, uint8 (count, 3, S, S)."""
    own = system.own
    if system.faces:
        pictures = system.faces(count)
    else:
        pictures = helper.FixedFaces(own.G_average, own.random_z(count, own.z_size, own.device))()
    return torch.from_numpy(helper.to_pixels(pictures)).permute(0, 3, 1, 2).contiguous()


def train(system, photographs, images, folder=None, seconds=math.inf):
    """Train a System until about `images` were seen, or for so many seconds. Returns the run, done."""
    loader = system.loader or course.loader_of(system.own, photographs, EPOCH)
    return course.fit(system.own, loader, images, folder, system.loop, system.parts, system.sample, system.settings,
                      system.trouble, seconds)


def trained(name, seed, make, data, given, seconds=math.inf, folder="{}, seed {}", count=None):
    """Make a System of a seed, train it on data.photographs and make faces with it. Returns Judged.

    make: function that returns the System; given: its images and folder are used; seconds: as `train` takes them; folder:
    the training's own in given.folder, of name and seed; count: how many faces, as it is as many as were kept out.
    """
    print(f"\n{name}, seed {seed}", flush=True)
    torch.manual_seed(seed)
    system = make()
    run = train(system, data.photographs, given.images, kept(given, folder.format(name, seed)), seconds)
    return Judged(name, seed, run, system, made(system, count or len(data.reals)))


def compare(systems, data, given, base=notebook):
    """Train the notebook's recipe until it has seen given.images, and every other system for as many seconds.

    systems: {name: function that makes a System}; base: what makes the notebook's, for pictures of another size, say.
    Returns: list of Judged, for each of given.seeds the notebook's first.
    """
    judged = []
    for seed in given.seeds:
        seconds = math.inf
        for name, make in {NOTEBOOK: base, **systems}.items():
            judged.append(trained(name, seed, make, data, given, seconds))
            if name == NOTEBOOK:
                seconds = judged[-1].run.seconds
    return judged


def kept(given, name):
    """The folder for the checkpoints of one training: its name in the one that --folder gives; None without."""
    return given.folder and Path(given.folder) / "".join(letter if letter.isalnum() else "_" for letter in name)


# --- Table and picture ------------------------------------------------------------------------------------------------


def distances(faces, reals):
    """How far generated faces are from real ones, both uint8 (N, 3, S, S), 32 pixels wide or more: {heading: number}.

    The Fréchet distance is taken in dlib's face embedding (measures/embedding.py); nan where that is not installed.
    """
    fakes, photographs = faces / 255, reals / 255
    seeded = (torch.Generator().manual_seed(0) for _ in range(2))
    return {
        "sliced Wasserstein x 1000": helper.sliced_wasserstein(fakes, photographs, generator=next(seeded))["mean"],
        "Fréchet, face embedding": _in_embedding(faces, reals),
        "MS-SSIM of pairs": helper.variety(fakes, generator=next(seeded)),
    }


def _in_embedding(faces, reals):
    from measures.embedding import face_embedding, feature_distances, features  # torchmetrics takes seconds to import

    try:
        return feature_distances(*(features(face_embedding(), some) for some in (faces, reals)))[0]
    except Missing:
        return math.nan


FORMATS = {"sliced Wasserstein x 1000": ".1f", "Fréchet, face embedding": ".4f", "MS-SSIM of pairs": ".3f"}


def formatted(found):
    """What `distances` found, as text: list of str."""
    return [f"{found[name]:{form}}" for name, form in FORMATS.items()]


def done(one):
    """The first cells of a Judged's row: its name, seed, images and seconds, list of str."""
    return [one.name, str(one.seed), f"{one.run.images:,}", f"{one.run.seconds:,.0f}"]


def table(judged, data, **more):
    """Markdown: a row for each training, below one for real faces against the real ones that were kept out.

    more: further columns, heading (with _ for a space) = function of a Judged that returns text; the first row has "-".
    """
    headings = [*FORMATS, *(heading.replace("_", " ") for heading in more)]
    floor = distances(data.photographs[: len(data.reals)], data.reals)
    rows = [["real faces", "", "", "", *formatted(floor), *["-"] * len(more)]]
    for one in judged:
        found = distances(one.faces, data.reals)
        rows.append([*done(one), *formatted(found), *(column(one) for column in more.values())])
    return markdown([f"{len(data.reals):,} faces each", "seed", "images", "seconds", *headings], rows)


def markdown(headings, rows):
    """A Markdown table of text."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def picture(judged, columns=8, lines=4):
    """A Figure: the first faces of each system, those of its first seed."""
    shown = {name: faces[: columns * lines] for name, faces in first(judged).items()}
    return panels(sheet(2.6 * len(shown), 1.7), shown, len(shown), columns)


def first(judged):
    """The faces of each system's first seed: {name: uint8 (N, 3, S, S)}."""
    shown = {}
    for one in judged:
        shown.setdefault(one.name, one.faces)
    return shown


def sheet(width, height, dpi=120):
    """An empty Figure of so many inches."""
    return Figure(figsize=(width, height), dpi=dpi, layout="constrained")


def panels(figure, shown, across, columns=8, fontsize=8):
    """Fill a figure, or a part of one, with panels, `across` in a row; shown: {title: pictures as `show` takes them}.

    Returns: the figure.
    """
    for place, (title, pictures) in enumerate(shown.items(), 1):
        show(figure.add_subplot(math.ceil(len(shown) / across), across, place), pictures, columns, title, fontsize)
    return figure


def show(axis, pictures, columns, title, fontsize=8, interpolation=None):
    """Draw pictures (N, 3, S, S), so many in a row, with a title and nothing else around them."""
    axis.imshow(grid(pictures, columns), interpolation=interpolation)
    axis.set_title(title, fontsize=fontsize)
    axis.axis("off")


def grid(pictures, columns):
    """Pictures (N, 3, S, S), uint8 or in [-1, 1], as one: uint8 (H, W, 3), for imshow."""
    if pictures.is_floating_point():
        pictures = torch.from_numpy(helper.to_pixels(pictures)).permute(0, 3, 1, 2)
    return make_grid(pictures, nrow=columns, padding=1, pad_value=255).permute(1, 2, 0).numpy()


# --- A judge ----------------------------------------------------------------------------------------------------------


def taught(network, pictures, labels, look, epochs, weight=None):
    """Teach a classifier the classes of pictures, uint8 (N, 3, S, S), labels int64 (N,). Returns: it, in evaluation mode.

    look: function of a batch of pictures that returns what the network is to see; weight: of each class, or None.
    """
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    for _ in range(epochs):
        for some in torch.randperm(len(pictures)).split(64):
            optimizer.zero_grad()
            F.cross_entropy(network(look(pictures[some])), labels[some], weight).backward()
            optimizer.step()
    return network.eval()


# --- The command line -------------------------------------------------------------------------------------------------


def parser(name, doc, images):
    """An ArgumentParser with what every system takes: a folder of faces, --images, --seeds, --folder."""
    made = argparse.ArgumentParser(prog=f"python -m further.{name}", description=doc.splitlines()[0])
    made.add_argument("photographs", nargs="?", help="folder of folders of faces (default: what the notebook would take)")
    made.add_argument("--images", type=int, default=images, help=f"that the notebook's recipe sees (default {images:,})")
    made.add_argument("--seeds", type=int, nargs="+", default=[0], help="one training for each (default: 0)")
    made.add_argument("--folder", help="keep each training here, and go on with what is kept (default: keep none)")
    return made


def main(name, doc, measure, images, options=None, arguments=None):
    """Run a system's file: print its table, and write it and its picture as results/further/NAME.md and NAME.png.

    measure: function of what the parser gave that returns (table, Figure); images: what --images is without being given;
    options: {"--size": what add_argument takes, a dict}; arguments: list of str in place of the command line.
    """
    parsed = parser(name, doc, images)
    for option, how in (options or {}).items():
        parsed.add_argument(option, **how)
    given = parsed.parse_intermixed_args(arguments)
    try:
        if given.images < 1:
            raise FaceError(f"--images is {given.images}: give a whole number, 1 or more.")
        text, figure = measure(given)
    except FaceError as error:
        sys.exit(f"further.{name}: {error}")
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / f"{name}.md").write_text(f"{text}\n", encoding="utf-8")
    figure.savefig(RESULTS / f"{name}.png")
    print(f"\n{text}\n\nThe picture is {RESULTS / f'{name}.png'}.")
