"""How good are the faces? Measures of generated faces against photographs, beside what photographs themselves score.

    python -m benchmarks.quality PHOTOGRAPHS                              photographs, noise and the mean face
    python -m benchmarks.quality PHOTOGRAPHS --generator generator.pt2    and the faces of this generator

Faces here are uint8 (N, 3, S, S). A measure whose package or weights are missing is reported as not measured, with what
it takes; none is ever replaced by another.
"""

import argparse
import functools
import statistics
import sys
from typing import NamedTuple

import torch
from torch.nn import functional as F
from torchvision.utils import save_image

from common import FaceError
from further import course
from helper import decode_once
from measures.copies import closeness, memorised_share, nearest_photographs
from measures.detect import faces_found
from measures.embedding import face_embedding, feature_distances, features, inception
from measures.needs import Missing
from measures.patches import sliced_wasserstein
from measures.variety import variety

HELD_OUT = 1000  # photographs kept out of training, and faces in each draw
DRAWS = 3
# Name of a measure: heading of its column, format of its values
COLUMNS = {
    "found": ("faces found", ".3f"),
    "sliced": ("sliced Wasserstein x 1000", ".1f"),
    "Fréchet, face": ("Fréchet, face embedding", ".4f"),
    "kernel, face": ("kernel x 1000, face embedding", ".4f"),
    "Fréchet, Inception": ("Fréchet, Inception", ".1f"),
    "kernel, Inception": ("kernel x 1000, Inception", ".1f"),
    "variety": ("MS-SSIM of pairs", ".3f"),
    "memorised": ("memorised", ".3f"),
}


class Row(NamedTuple):
    """One measure of one set of faces: one value per draw of n faces; no value, and the reason, if not measured."""

    measure: str
    n: int
    values: tuple
    missing: str = ""

    @property
    def mean(self):
        return statistics.fmean(self.values)

    @property
    def spread(self):
        """Standard deviation over the draws; None with fewer than two."""
        return statistics.stdev(self.values) if len(self.values) > 1 else None


# --- Faces ------------------------------------------------------------------------------------------------------------


def load(folder, size):
    """Read the photographs of an ImageFolder as the notebook's own get_dataloader does: uint8 (N, 3, size, size).

    Raises FaceError if the folder is missing or holds no such pictures.
    """
    try:
        loader = course.load().get_dataloader(1, size, folder)
    except OSError as error:  # its first line says what was looked for; the rest is a list of file endings
        raise FaceError(f"{folder} is not a folder of folders of pictures: {str(error).splitlines()[0]}") from None
    return decode_once(loader).dataset.images


def split_at(photographs, held_out=HELD_OUT, seed=0):
    """Keep `held_out` photographs, chosen by the seed, out of training. Returns the places of (train, reals), int (N,).

    Photographs that are copies of one held out (closeness below 0.5) are left out of train, or the reference would have
    been trained on after all. Raises ValueError on fewer than four times `held_out`: the floor takes three more draws.
    """
    if len(photographs) < 4 * held_out:
        raise ValueError(f"{len(photographs):,} photographs are too few: {4 * held_out:,} or more are needed.")
    order = torch.randperm(len(photographs), generator=torch.Generator().manual_seed(seed))
    reals, train = order[:held_out], order[held_out:]
    return train[closeness(_small(photographs[train]), _small(photographs[reals])) >= 0.5], reals


def split(photographs, held_out=HELD_OUT, seed=0):
    """The photographs, uint8 (N, 3, S, S), at the places that `split_at` gives: (train, reals)."""
    train, reals = split_at(photographs, held_out, seed)
    return photographs[train], photographs[reals]


def generate(generator, z_size, n, seed=0):
    """n faces, uint8 (n, 3, S, S), from a callable that gives faces in [-1, 1] for standard normal z (B, z_size).

    A module must be in evaluation mode; z lies on the CPU.
    """
    z = torch.randn(n, z_size, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        faces = torch.cat([generator(part).float().cpu() for part in z.split(250)])
    return faces.add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8)


def load_generator(path):
    """Open a generator that torch.export saved. Returns (callable, z_size)."""
    try:
        program = torch.export.load(path)
    except Exception as error:  # a wrong file fails in many ways
        raise FaceError(f"{path} is not a generator saved by torch.export: {str(error).splitlines()[0]}") from None
    z = next(node for node in program.graph.nodes if node.name == program.graph_signature.user_inputs[0])
    return program.module(), z.meta["val"].shape[1]


def _floats(faces):
    return faces.float() / 255


def _small(faces):
    """Average down to 16 x 16, which is what nearest_photographs looks at, in a memory that does not grow with S."""
    return torch.cat([F.adaptive_avg_pool2d(_floats(some), 16) for some in faces.split(500)])


# --- Measures ---------------------------------------------------------------------------------------------------------


def measure(fakes, reals, train, draws=DRAWS):
    """Measure generated faces against photographs.

    fakes: uint8 (draws x n, 3, S, S), cut into that many draws, so that their spread shows how far to trust a value.
    reals: photographs (L, 3, S, S) that were not trained on, the first n of which are compared with each draw; n is L
        or what each draw has, whichever is less. Fréchet distances need the same n to be compared.
    train: photographs that were trained on, where memorised faces are looked for.
    Returns a Row for each measure in COLUMNS.
    """
    n = min(len(reals), len(fakes) // draws)
    reals, parts = reals[:n], fakes.split(n)[:draws]
    trained_on = _small(train)
    rows = []

    def add(names, values_of):
        try:
            values = zip(*[values_of(part) for part in parts], strict=True)
            rows.extend(Row(name, n, value) for name, value in zip(names, values, strict=True))
        except Missing as missing:
            rows.extend(Row(name, n, (), str(missing)) for name in names)

    def distances(network):
        of_reals = functools.cache(lambda: features(network(), reals))
        return lambda part: feature_distances(features(network(), part), of_reals())

    def seeded():
        return torch.Generator().manual_seed(0)

    add(["found"], lambda part: [faces_found(part)])
    add(["sliced"], lambda part: [sliced_wasserstein(_floats(part), _floats(reals), generator=seeded())["mean"]])
    add(["Fréchet, face", "kernel, face"], distances(face_embedding))
    add(["Fréchet, Inception", "kernel, Inception"], distances(inception))
    add(["variety"], lambda part: [variety(_floats(part), generator=seeded())])
    add(["memorised"], lambda part: [memorised_share(_small(part), trained_on)])
    return rows


def floor(reals, train, draws=DRAWS, seed=1):
    """What photographs score against photographs: draws from train against reals; memorised: reals, in as many parts.

    Returns rows as `measure` does. No generator can be expected to score better.
    """
    order = torch.randperm(len(train), generator=torch.Generator().manual_seed(seed))
    rows = measure(train[order[: draws * len(reals)]], reals, train, draws)
    parts = _small(reals).split(-(-len(reals) // draws))
    values = tuple(memorised_share(part, _small(train)) for part in parts)  # those from train would all be found there
    return [*rows[:-1], Row("memorised", len(parts[0]), values)]


def table(results):
    """Markdown table of {name: rows of measure or floor}: mean and standard deviation of the draws."""
    lines = ["| faces | " + " | ".join(heading for heading, _ in COLUMNS.values()) + " |"]
    lines.append("|---" * (len(COLUMNS) + 1) + "|")
    reasons = {}
    for name, rows in results.items():
        cells = [f"{name} ({max(len(row.values) for row in rows)} x {rows[0].n:,})"]
        for row in rows:
            form = COLUMNS[row.measure][1]
            cell = f"{row.mean:{form}}" if row.values else "-"
            cells.append(cell if row.spread is None else f"{cell} ± {row.spread:{form}}")
            if row.missing:
                reasons[row.missing] = None
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", *reasons]).rstrip()


def side_by_side(fakes, train, path, count=16):
    """Save a picture of the `count` faces most like a copy: each above the photograph of train that it is nearest to.

    The file shows photographs: their terms apply to it.
    """
    small, trained_on = _small(fakes), _small(train)
    closest = closeness(small, trained_on).argsort()[:count]
    nearest = nearest_photographs(small[closest], trained_on, k=1)[1][:, 0]
    pictures = _floats(torch.cat([fakes[closest], train[nearest]]))
    save_image(F.interpolate(pictures, scale_factor=3), path, nrow=count)


def main():
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality", description=__doc__.splitlines()[0])
    parser.add_argument("photographs", help="folder of folders of pictures, as ImageFolder reads it")
    parser.add_argument("--generator", help="file saved by torch.export that gives faces for standard normal z")
    parser.add_argument("--pairs", help="PNG file to write: generated faces above the nearest photographs")
    parser.add_argument("--size", type=int, default=32, help="width in pixels; a generator brings its own (default 32)")
    given = parser.parse_args()
    if given.pairs and not given.generator:
        parser.error("--pairs shows generated faces: name a --generator")
    try:
        faces = generate(*load_generator(given.generator), DRAWS * HELD_OUT) if given.generator else None
        photographs = load(given.photographs, given.size if faces is None else faces.shape[-1])
        train, reals = split(photographs)
    except (FaceError, ValueError) as error:
        sys.exit(f"quality.py: {error}")
    noise = torch.randint(256, reals.shape, generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    mean = train.float().mean(0, keepdim=True).round().to(torch.uint8).expand_as(reals)
    results = {"photographs": floor(reals, train)}
    if faces is not None:
        # It may have been trained on any of the photographs, those kept out here included.
        results["generated"] = measure(faces, reals, photographs)
    results["mean face"] = measure(mean, reals, train, draws=1)
    results["noise"] = measure(noise, reals, train, draws=1)
    size = reals.shape[-1]
    print(f"{size} x {size} pixels, against {len(reals):,} photographs; mean ± standard deviation of the draws\n")
    print(table(results))
    if given.pairs:
        side_by_side(faces, photographs, given.pairs)


if __name__ == "__main__":
    main()
