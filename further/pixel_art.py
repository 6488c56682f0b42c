"""8-bit art: small sprites from a GAN, each pixel brought to the colours of the data.

The network is the DCGAN of Radford, Metz and Chintala (2016), https://arxiv.org/abs/1511.06434, as in the notebook; it
makes pictures of 16 x 16 as it is. The palette is Heckbert's (1982), https://doi.org/10.1145/965145.801294.

Sprites are drawn pixel by pixel with few colours. A generator's output is continuous: hardly two of its pixels have the
same colour, and the eye sees dirt where it should see an area. So training stays as it is, and each pixel of what was
generated goes to the nearest colour that the data has; then, of the colours that are left in a sprite, only those stay that
it uses most, as many as real sprites have.

What differs from the notebook: sprites are made smaller by leaving pixels out, not by Lanczos, which would mix their
colours into new ones; transparent parts are laid on white first; the output goes to the palette. Mirror images stay,
since a head that looks the other way is as good a head.

    python -m further.pixel_art                       # drawn faces as 16 x 16 sprites of a dozen colours
    python -m further.pixel_art SPRITES --size 32     # a folder of sprites of any size

Measured on the drawn faces with one seed: 300,000 images, 1,000 sprites each. A held-out sprite has 8.5 colours; a
generated one has 245.4, 9.4 in the palette, where its pixels go 18.7 levels of 255 far on average, and 7.8 with 8 each.
Sliced Wasserstein x 1000 is 15.7 in the palette, 15.2 before and 15.5 with 8 each; real sprites are 9.5 apart. Of the
generated none is a copy, of held-out ones 1.0 %. A large palette binds less: 682 pixel-art heads of the Liberated Pixel
Cup, 16 x 16, have 955 colours, 24.3 in each; after 300,080 images (one seed, 227 sprites each) a generated one has 187.5,
and 111.5 in the palette, 7.3 levels away. Of the held-out heads 26.0 % count as copies, since many are one head with other
hair: read the share beside theirs. Of the generated 0.4 %, one of them. Sliced Wasserstein x 1000 is 38.6, and 38.7 in the
palette; real ones 14.8.
"""

import numpy as np
import torch
from PIL import Image, ImageOps

import helper
from common import FaceError
from faces.pictures import open_picture
from faces.view import pictures_in
from further import beside, course

SIZES = 16, 32
DOZEN = 12  # colours of the drawn faces' sprites
SAMPLE = 500  # faces that these are found from
SHOWN = 16  # sprites in a line of the picture


# --- The palette ------------------------------------------------------------------------------------------------------


def packed(pictures):
    """One number for each pixel's colour: uint8 (N, 3, S, S) -> int (N, S * S)."""
    red, green, blue = pictures.flatten(2).int().unbind(1)
    return red * 65536 + green * 256 + blue


def colours_of(pictures):
    """All colours that occur in pictures, uint8 (N, 3, S, S): float (K, 3) in 0 ... 255."""
    return unpacked(packed(pictures).unique())


def unpacked(colours):
    """The other way round, a colour for each number: int (K,) -> float (K, 3) in 0 ... 255."""
    return torch.stack([colours // 65536, colours // 256 % 256, colours % 256], dim=1).float()


def colours_each(pictures):
    """How many colours each picture has: uint8 (N, 3, S, S) -> int (N,)."""
    return 1 + (packed(pictures).sort(dim=1).values.diff(dim=1) != 0).sum(1)


def dozen(pictures, count=DOZEN):
    """A palette for pictures that have too many colours: uint8 (N, 3, S, S) -> float (count, 3) in 0 ... 255.

    Median cut (Heckbert, 1982): the box of all colours is cut in two at the median of its longest side, then the fullest
    of the boxes, and so on; the mean of each box is a colour. k-means (Lloyd, 1982) moves these to where pixels gather.
    """
    pixels = pictures.permute(0, 2, 3, 1).flatten(1, 2).numpy()  # as one picture, N x S * S pixels
    palette = Image.fromarray(pixels).quantize(count, Image.Quantize.MEDIANCUT, kmeans=1).getpalette()
    return torch.tensor(palette[: 3 * count], dtype=torch.float32).view(-1, 3)


def to_palette(pictures, palette):
    """Bring each pixel to the colour nearest to it: the one with the least |x - p|^2 over red, green and blue.

    pictures: uint8 (N, 3, S, S); palette: float (K, 3), whole numbers in 0 ... 255.
    Returns: uint8 (N, 3, S, S), and how far each pixel went, float (N, S, S) in 0 ... 442.
    """
    pixels = pictures.permute(0, 2, 3, 1).reshape(-1, 3).float()
    squares, nearest = [], []
    for x in pixels.split(8192):  # 8192 x K distances at a time; |x - p|^2 = |x|^2 - 2 x p + |p|^2, exact for whole numbers
        least = (palette.square().sum(1) - 2 * x @ palette.T).min(1)
        squares.append(least.values + x.square().sum(1))
        nearest.append(least.indices)
    count, _, height, width = pictures.shape
    brought = palette[torch.cat(nearest)].to(torch.uint8).view(count, height, width, 3).permute(0, 3, 1, 2)
    return brought.contiguous(), torch.cat(squares).sqrt().view(count, height, width)


def few(pictures, count):
    """Leave each picture the `count` colours that it uses most; its other pixels go to the nearest of these.

    pictures: uint8 (N, 3, S, S). Returns: the same shape.
    """
    made = []
    for picture in pictures.split(1):
        colours, uses = packed(picture).unique(return_counts=True)
        most = colours[uses.argsort(descending=True, stable=True)[:count]]
        made.append(to_palette(picture, unpacked(most))[0])
    return torch.cat(made)


def ways(pictures, photographs, palette):
    """Pictures as they were generated, in the palette, and with no more colours each than training sprites have on average.

    All uint8 (N, 3, S, S). Returns: {name: pictures}.
    """
    brought, count = to_palette(pictures, palette)[0], round(colours_each(photographs).float().mean().item())
    return {"generated": pictures, "in the palette": brought, f"{count} colours each": few(brought, count)}


# --- Sprites ----------------------------------------------------------------------------------------------------------


def sprites(folder, size):
    """The pictures of a folder and all folders in it, uint8 (N, 3, size, size), without a colour that they did not have.

    Transparent parts become white. Each goes onto a white square if it is none, and pixels are left out or repeated.
    Raises: FaceError if no picture can be read.
    """
    found = []
    for path in pictures_in(folder):
        try:
            square = ImageOps.pad(open_picture(path), (size, size), Image.Resampling.NEAREST, color="white")
        except ValueError as error:
            print(f"{path} is passed over: {error}.")
            continue
        found.append(torch.from_numpy(np.array(square)).permute(2, 0, 1))
    if not found:
        raise FaceError(f"{folder} holds no sprites that can be read: name a folder of PNG or GIF files.")
    return torch.stack(found)


def drawn(size):
    """The faces that find_faces finds as sprites of a dozen colours, uint8 (N, 3, size, size)."""
    faces = beside.load(None, size)
    return to_palette(faces, dozen(faces[:: max(1, len(faces) // SAMPLE)]))[0]


# --- Side by side -----------------------------------------------------------------------------------------------------


def numbers(pictures, others, photographs, palette):
    """What the table says of pictures beside others, real ones, both uint8 (N, 3, S, S): list of str."""
    seeded = torch.Generator().manual_seed(0)
    return [f"{colours_each(pictures).float().mean():.1f}", f"{to_palette(pictures, palette)[1].mean():.2f}",
            f"{helper.sliced_wasserstein(pictures / 255, others / 255, generator=seeded)['mean']:.1f}",
            f"{helper.memorised_share(pictures / 255, photographs / 255):.1%}"]


def table(judged, data, palette):
    """Markdown: real sprites that were kept out, and in each of the `ways` the generated ones of each training."""
    trained_on = data.photographs
    rows = [["real, held out", "", "", "", *numbers(data.reals, trained_on[: len(data.reals)], trained_on, palette)]]
    for one in judged:
        done = beside.done(one)[1:]
        for name, some in ways(one.faces, trained_on, palette).items():
            rows.append([name, *done, *numbers(some, data.reals, trained_on, palette)])
    return beside.markdown([f"{len(data.reals):,} sprites each, {len(palette):,} colours", "seed", "images", "seconds",
                            "colours in a sprite", "distance to the palette", "sliced Wasserstein x 1000", "copies"], rows)


def picture(faces, data, palette):
    """A Figure: generated sprites in each of the `ways`, and the training sprites nearest to them; each pixel a square."""
    lines = ways(faces[:SHOWN], data.photographs, palette)
    *_, fewest = lines.values()
    nearest = helper.nearest_photographs(fewest / 255, data.photographs / 255, k=1)[1][:, 0]
    lines["the training sprites nearest to them"] = data.photographs[nearest]
    zoom = 64 // faces.shape[-1]
    figure = beside.sheet(SHOWN * 0.7, 4.0, dpi=100)
    for axis, (title, some) in zip(figure.subplots(4), lines.items(), strict=True):
        some = some.repeat_interleave(zoom, 2).repeat_interleave(zoom, 3)
        beside.show(axis, some, SHOWN, title, fontsize=9, interpolation="nearest")
    return figure


def measure(given):
    """Train the notebook's networks on sprites; returns the table and the picture."""
    if given.size not in SIZES:
        raise FaceError(f"--size is {given.size}: give 16 or 32.")
    data = beside.split(sprites(given.photographs, given.size) if given.photographs else drawn(given.size))
    palette = colours_of(data.photographs)
    judged = beside.compare({}, data, given, base=lambda: beside.System(course.set_up(image_size=given.size)))
    return table(judged, data, palette), picture(judged[0].faces, data, palette)


if __name__ == "__main__":
    size = {"type": int, "default": 16, "help": "pixels along a side, 16 or 32 (default 16)"}
    beside.main("pixel_art", __doc__, measure, images=300_000, options={"--size": size})
