"""Draws the embedded default faces: photograph-like pictures that need no download.

`draw_faces(folder)` fills a folder with 64 x 64 JPEG pictures, `draw(numbers)` returns them as an array. Face i depends on the
seed and on i alone. Every face is a set of random traits (`traits`) from which a colour map and a height map are painted, part by
part, in the coordinates of the face; the height map is lit as a surface (Lambert's law with a highlight), and a camera
spoils the result a little.

Coordinates. Picture: x to the right, y down, 0 to 64. Face: (u, v), the origin between the eyes, the pupils at u = -10.3 and 10.3, the
mouth near v = 22, the chin near v = 32; one unit is about 3 mm and about one pixel of the finished picture. Heights point at the
camera, in the same unit. Colours are linear light, 0 to 1, kept channel first: (3, H, W).
"""

import argparse
import functools
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from PIL import Image
from tqdm import tqdm

SIZE = 64  # pixels along a side of the finished picture
FINE = 80  # pixels along a side while drawing
EYE = 10.3  # half the distance between the pupils
JPEG_QUALITY = 92
GREY = np.array([0.30, 0.59, 0.11], np.float32)[:, None, None]


def rgb(red, green, blue):
    """A colour that broadcasts over a picture: (3, 1, 1)."""
    return np.array([red, green, blue], np.float32)[:, None, None]


def soft(distance, width):
    """A step from 0 to 1 where `distance` passes 0, about 2 * `width` wide."""
    return 0.5 + 0.5 * np.tanh(distance / np.float32(width))


def bell(distance, width):
    """1 where `distance` is 0, falling off over `width`."""
    return np.exp(-np.square(distance / np.float32(width)))


def blob(u, v, width_u, width_v):
    """A round hill with its top, 1, where u = v = 0."""
    return np.exp(-np.square(u / np.float32(width_u)) - np.square(v / np.float32(width_v)))


@functools.cache
def field(cells):
    """A large smooth random field with a standard deviation of 1, the same in every run; see `noise`."""
    rough = np.random.default_rng(cells).standard_normal((8 * cells, 8 * cells), np.float32)
    smooth = np.asarray(Image.fromarray(rough).resize((8 * FINE, 8 * FINE), Image.BICUBIC))
    return smooth / smooth.std()


def noise(rng, cells):
    """A smooth random field (FINE, FINE), about normal; `cells` is how many features fit along a side. A cut-out: do not write to it."""
    top, left = rng.integers(0, 7 * FINE, 2)
    return field(cells)[top : top + FINE, left : left + FINE]


class Canvas:
    """What has been painted so far, and where each pixel lies on the face.

    colour (3, H, W), height (H, W), alpha (H, W) of the person, u and v (H, W) on the face, hu and hv (H, W) on the head
    behind it (they differ when the head is turned). `window` gives a Canvas of views: painting there is cheap and goes into the whole.
    """

    def __init__(self, **layers):
        self.__dict__.update(layers)

    def window(self, f, u, v, half_u, half_v):
        """The part of the canvas around the point (u, v) of the face, `half_u` and `half_v` units to each side."""
        at = FINE / SIZE * np.array([f.y + f.scale * (v + f.roll * u), f.x + f.scale * (u - f.roll * v)])
        half = FINE / SIZE * f.scale * np.array([half_v, half_u])
        (top, left), (bottom, right) = np.clip(np.round([at - half, at + half]), 0, FINE).astype(int)
        return Canvas(**{k: layer[..., top:bottom, left:right] for k, layer in self.__dict__.items()})

    def paint(self, mask, colour):
        """Cover with `colour` (3, ...) where `mask` (H, W) is 1."""
        self.colour += (colour - self.colour) * mask

    def tint(self, mask, colour):
        """Multiply with `colour` (3, ...) where `mask` (H, W) is 1."""
        self.colour *= 1 - mask * (1 - colour)


def traits(rng):
    """Everything that is random about a face but its textures: a namespace of numbers, lengths in face units."""
    f = SimpleNamespace()
    normal, uniform = rng.normal, rng.uniform
    chance = lambda p: rng.random() < p  # noqa: E731
    f.age = uniform(2, 80)
    f.child = float(np.clip((17 - f.age) / 12, 0, 1))
    f.old = float(np.clip((f.age - 42) / 30, 0, 1))
    f.woman = chance(0.52)
    female = f.woman * (1 - f.child)
    male = (1 - f.woman) * (1 - f.child)

    # where the face stands and how it is turned: sines of the angles
    f.x, f.y = normal(31.7, 0.8), 37.0 - rng.gamma(1.0, 3.7)
    f.scale = normal(1.05, 0.045)
    f.roll, f.yaw, f.pitch = normal(-0.02, 0.03), normal(0.03, 0.20), normal(0.0, 0.09)

    # head
    f.head = normal(22.3, 0.9)
    f.chin = normal(31.5, 1.2) - 2.5 * f.child + 0.8 * male
    f.jaw = normal(2.3, 0.25) + 0.35 * male + 0.2 * f.child
    f.top = normal(31, 1.5)
    f.cheek = normal(0.8, 0.4) + 0.8 * f.child
    f.lines = f.old * uniform(0.3, 1.0)

    # skin, as seen in daylight
    tone = float(np.clip(normal(0.25 - 0.08 * female + 0.06 * f.old, 0.2), 0, 1))
    f.skin = rgb(0.66, 0.42, 0.33) * (1 - tone) + rgb(0.30, 0.15, 0.09) * tone
    f.skin = f.skin * rgb(1, normal(1, 0.04), normal(1, 0.08))
    f.rosy = abs(normal(0, 0.12)) + 0.05 * f.child
    f.shine = abs(normal(0, 0.25)) + 0.1

    # eyes and brows
    f.eye_wide = normal(4.35, 0.3)
    f.smile = float(np.clip(normal(0.25, 0.35), -0.1, 1.0))
    f.eye_open = max(0.25, normal(1.3, 0.33) + 0.25 * f.child + 0.15 * female - 0.35 * max(f.smile, 0) - 0.25 * f.old)
    f.eye_tilt = normal(0.09, 0.05)
    f.iris = normal(2.35, 0.12) + 0.15 * f.child
    f.iris_colour = rgb(0.03, 0.018, 0.012) * uniform(0.4, 2.2)
    if chance(0.05):
        f.iris_colour = rgb(*uniform([0.05, 0.1, 0.1], [0.15, 0.2, 0.3]))
    f.gaze_u, f.gaze_v = normal(0, 0.5), normal(-0.1, 0.2)
    f.lash = uniform(0.5, 0.75) + 0.25 * female
    f.crease = uniform(0, 0.6)
    f.socket = abs(normal(0.45, 0.2)) + 0.15 * f.old
    f.bag = abs(normal(0, 0.12)) + 0.25 * f.lines
    f.brow_v = normal(-6.6, 0.8) - 0.4 * f.child
    f.brow_thick = abs(normal(1.25, 0.25) + 0.35 * male - 0.15 * f.child)
    f.brow_dark = float(np.clip(normal(0.75, 0.15) + 0.15 * male - 0.2 * f.child - 0.2 * f.old, 0.1, 0.95))
    f.brow_arch, f.brow_tilt = normal(1.6, 0.5), normal(0.6, 0.8)

    # nose and mouth
    f.nose_long = normal(11.8, 0.7) - 1.2 * f.child
    f.nose_wide = normal(5.1, 0.45) - 0.4 * f.child + 0.3 * male
    f.nose_high = normal(3.8, 0.8) - 1.0 * f.child
    f.nostril = uniform(0.3, 0.9)
    f.mouth_v = normal(20.8, 0.7) - 1.0 * f.child
    f.mouth_wide = normal(8.3, 0.7) + 1.5 * max(f.smile, 0) - 0.9 * f.child
    f.mouth_open = max(0.0, normal(0.2, 0.5) + (normal(3.2, 0.8) if f.smile > 0.4 else 0.0))
    f.teeth = uniform(0.5, 1.0) if f.smile > 0.3 else uniform(0, 0.6)
    f.upper_lip, f.lower_lip = abs(normal(1.7, 0.4)), abs(normal(2.6, 0.5))
    f.lip_colour = f.skin * rgb(0.66, 0.34, 0.38) * normal(1, 0.1)
    if female and chance(0.45):
        f.lip_colour = f.lip_colour * 0.5 + 0.5 * rgb(*uniform([0.35, 0.03, 0.04], [0.6, 0.12, 0.14]))

    # hair
    f.hair_colour = rgb(0.014, 0.011, 0.010) * uniform(0.4, 2.2)
    if chance(0.28 if f.woman else 0.1):
        f.hair_colour = rgb(0.10, 0.055, 0.03) * uniform(0.5, 1.8)
    if chance(0.03):
        f.hair_colour = rgb(0.42, 0.28, 0.13) * uniform(0.7, 1.2)
    grey = float(np.clip(f.old * normal(0.8, 0.4), 0, 1)) * uniform(0, 1)
    f.hair_colour = f.hair_colour * (1 - grey) + rgb(0.34, 0.33, 0.32) * grey
    f.volume, f.sides = normal(6.5, 2), normal(3.4, 1.0)  # how far the hair stands off the skull, above and beside
    f.part, f.curtain, f.slope = 0.0, 0.0, 0.0  # where it parts, how it falls from there, how the fringe slants
    f.inner = normal(21.0, 0.8)  # half the width of the face that the hair leaves free
    f.ends = normal(0, 3)  # how far down the sides reach
    f.line = normal(-21, 1.8)  # the hairline's height
    f.fringe = None
    f.square = uniform(2.0, 3.2)
    f.curl = abs(normal(0, 0.35))
    if f.woman:
        style = rng.choice(["long", "bob", "tied", "short"], p=[0.36, 0.22, 0.24, 0.18] if f.old < 0.3 else [0.1, 0.2, 0.2, 0.5])
        if style != "tied":
            f.sides, f.volume = f.sides + 1.2, f.volume + 1
        if style == "long":
            f.ends, f.inner = 80, normal(19.5, 1.3)
        if style == "bob":
            f.ends, f.inner = normal(22, 5), normal(19.3, 1.2)
        if style == "short":
            f.ends, f.curl = normal(8, 5), f.curl + 0.4 * f.old
        f.part, f.curtain = normal(0, 6), max(0, normal(0.25, 0.25))
        if style != "tied" and chance(0.45 - 0.3 * f.old) or chance(0.3 * f.child):
            f.fringe, f.slope = normal(-11, 2), normal(0, 0.15)
    else:
        style = "short"
        f.line += 4.5 * -max(0, normal(0.3, 0.6)) * f.old
        f.sides -= 1.0
        if chance(0.4 - 0.25 * f.old):
            f.fringe, f.slope = normal(-14, 2.5), normal(0, 0.25)
        else:
            f.part, f.curtain = normal(0, 7), max(0, normal(0.1, 0.2))
    f.bald = chance(0.03 + 0.15 * f.old) and not f.woman
    if f.bald:
        f.line, f.fringe, f.sides, f.volume, f.inner, f.square = -60.0, None, 0.8, 0.5, normal(20.5, 0.7), 2.5
    f.ears = style in ("tied", "short") and (not f.woman or chance(0.6))
    f.beard = male * chance(0.14) * uniform(0.2, 0.8)
    f.moustache = male * chance(0.2) * uniform(0.2, 0.8)
    f.stubble = male * abs(normal(0, 0.2))

    f.glasses = chance(0.03 + 0.14 * (1 - f.child))
    f.hat = chance(0.04)

    # light: the direction it comes from, how much of it comes from all around, its colour
    f.light = np.array([normal(0, 0.5), normal(-0.35, 0.3), 1.0])
    f.light /= np.linalg.norm(f.light)
    f.ambient = uniform(0.08, 0.5)
    f.exposure = float(np.exp(normal(0.08, 0.42)))
    f.cast = rgb(np.exp(normal(0.03, 0.10)), 1.0, np.exp(normal(-0.03, 0.16)))
    f.saturation = float(np.clip(normal(1.0, 0.25), 0.3, 1.6)) * (not chance(0.045))
    f.contrast = float(np.clip(normal(1.2, 0.15), 0.6, 1.6))
    f.haze = abs(normal(0, 0.03))
    f.blur = float(np.clip(rng.gamma(3, 0.22), 0.1, 1.6))
    f.grain = abs(normal(0, 0.006)) + 0.002
    return f


def background(rng, f):
    """What is behind the person, out of focus: (3, FINE, FINE)."""
    kind = rng.choice(["white", "plain", "room", "leaves", "dark"], p=[0.17, 0.25, 0.33, 0.15, 0.10])
    base = rng.uniform(0.01, 0.6) ** 1.5 * (0.5 + rng.random((3, 1, 1), np.float32))
    if kind == "white":
        base = rgb(0.95, 0.95, 0.95) * rng.uniform(0.7, 1.2)
    elif kind == "dark":
        base = base * 0.1
    elif kind == "plain" and rng.random() < 0.5:  # the red or blue of passport pictures
        base = rgb(0.7, 0.02, 0.03) if rng.random() < 0.6 else rgb(0.03, 0.25, 0.6)
        base = base * rng.uniform(0.6, 1.2)
    elif kind == "leaves":
        base = rgb(0.16, 0.2, 0.08) * rng.uniform(0.3, 1.6)
    picture = base * (1 + 0.12 * noise(rng, 2))
    if kind in ("room", "leaves"):
        for cells in (3, 7) if kind == "room" else (6, 20):
            picture = picture * np.exp(0.45 * noise(rng, cells) + 0.12 * np.stack([noise(rng, cells) for _ in range(3)]))
    if kind == "room":
        x = np.linspace(0, SIZE, FINE, dtype=np.float32)
        for _ in range(rng.integers(1, 4)):  # edges of furniture, windows, doors
            place, width = rng.uniform(0, SIZE), rng.uniform(2, 30)
            band = soft(x - place, rng.uniform(0.4, 2)) * soft(place + width - x, rng.uniform(0.4, 2))
            band = band[None, :] if rng.random() < 0.6 else band[:, None]
            picture = picture + (rng.uniform(0, 0.9) * (0.6 + 0.4 * rng.random((3, 1, 1), np.float32)) - picture) * band * rng.uniform(0.4, 1)
    picture = picture * rgb(1.06, 0.98, 0.95)
    return picture.astype(np.float32)


def pose(f):
    """The empty canvas: for every pixel its place on the turned face and on the head behind it."""
    at = (np.arange(FINE, dtype=np.float32) + 0.5) * (SIZE / FINE)
    x, y = (at[None, :] - f.x) / f.scale, (at[:, None] - f.y) / f.scale
    x, y = x + f.roll * y, y - f.roll * x
    depth = 2.9 - x * x / 46 - np.square(y - 8) / 110  # of the face's surface; the eyes are at 0
    u, v = x - f.yaw * depth, y + f.pitch * depth
    empty = np.zeros((FINE, FINE), np.float32)
    return Canvas(colour=np.zeros((3, FINE, FINE), np.float32), height=empty, alpha=empty.copy(),
                  u=u, v=v, hu=x + 15 * f.yaw, hv=y - 6 * f.pitch)  # fmt: skip


def body(c, f, rng):
    """Neck, shoulders and clothes."""
    x, y = c.hu - 8 * f.yaw, c.v
    neck = soft(12.5 + 0.1 * np.square(np.maximum(y - 38, 0)) - np.abs(x), 0.8) * soft(y - 15, 2)
    c.paint(neck, f.skin * 0.75)
    c.tint(neck * soft(f.chin + 5 - y, 3), rgb(0.55, 0.5, 0.48))  # the chin's shadow
    clothes = rng.random((3, 1, 1), np.float32) ** 2 * rng.uniform(0.05, 0.9)
    opening = rng.uniform(0.2, 1.2)
    shoulder = soft(y - 42 + 0.35 * np.abs(x) * (np.abs(x) < 13) * opening - 0.18 * np.abs(x) - rng.normal(0, 2), 0.8)
    shoulder *= soft(np.abs(x) - 7 + (y - 40) * opening, 1.0)
    c.paint(shoulder, clothes * np.exp(0.25 * noise(rng, 10)))
    c.alpha[:] = np.maximum(neck, shoulder)
    c.height -= 8 * np.square(x / 30)


def head(c, f, rng):
    """The head without its features: silhouette, ears, skin, the big forms of the skull and the flesh."""
    if f.ears:
        for side in (-1, 1):
            du, dv = side * (c.hu + 8 * f.yaw) - f.head + 0.3, c.hv - 3.5 + 0.15 * side * c.hu
            ear = soft(1 - np.sqrt(np.square(du / 2.8) + np.square(dv / 6.0)), 0.15)
            c.paint(ear, f.skin * rgb(0.95, 0.8, 0.8))
            c.tint(ear * blob(du, dv, 1.3, 3.5), rgb(0.6, 0.45, 0.45))
            c.alpha[:] = np.maximum(c.alpha, ear)
    low, up = np.maximum(c.hv, 0) / np.float32(f.chin), np.maximum(-c.hv, 0) / np.float32(f.top)
    radius = np.square(c.hu / np.float32(f.head)) + low ** np.float32(f.jaw) + up ** np.float32(2.6)
    c.radius = radius  # 1 on the silhouette
    face = soft(1 - radius, 0.06)
    mottle = noise(rng, 20) * 0.012 + noise(rng, 5) * 0.03
    c.paint(face, f.skin * np.exp(mottle * rgb(0.8, 1.2, 1.2)))
    c.alpha[:] = np.maximum(c.alpha, face)
    u, v, side = c.u, c.v, np.abs(c.u)
    z = 21 * np.sqrt(np.maximum(1.12 - radius, 0.01))
    z += f.cheek * blob(side - 11.5, v - 9.5, 5.5, 5) * (1 + max(f.smile, 0)) + 1.5 * blob(u, v - f.chin + 4, 5, 4)  # cheeks, chin
    z += 0.7 * bell(v + 7, 3) * bell(side - 8, 8) - 2.2 * f.socket * blob(side - 7.5, v + 0.5, 5, 3.4)  # brow ridge, sockets
    z += 1.6 * blob(u - 2 * f.yaw, v - f.mouth_v, 9, 6.5) - 1.0 * blob(u, v - f.mouth_v - 5.5, 5, 1.6)  # the teeth's arch, the dip below the lips
    c.height += face * (z - c.height)
    c.tint(face * blob(side - 12.5, v - 11, 5, 4.5) * f.rosy, rgb(1.0, 0.6, 0.6))
    fold = side - 5.2 - 0.5 * (v - 12)
    fold = bell(fold, 1.3) * soft(v - 13, 1.5) * soft(f.mouth_v + 2 - v, 2)  # from the nose to the mouth's corners
    strength = min(1.0, 0.15 + 0.5 * max(f.smile, 0) + 0.7 * f.lines)
    c.height -= 0.9 * strength * fold
    c.tint(face * fold * 0.35 * strength, rgb(0.6, 0.45, 0.4))
    if f.lines > 0.15:
        wave = np.sin((v + 0.012 * u * u + 0.6 * noise(rng, 6)) * 2.0)
        c.tint(f.lines * 0.25 * np.maximum(wave, 0) * bell(v + 15, 5) * bell(u, 13), rgb(0.55, 0.45, 0.4))
        wrinkle = noise(rng, 40) * (0.05 * f.lines)
        c.colour *= 1 + np.clip(wrinkle, -0.3, 0.3) * face
    return face


def eyes(c, f):
    """Sockets, lids, whites, irises and lashes."""
    for side in (-1, 1):
        w = c.window(f, side * EYE, 0, 8.5, 7)
        out = side * w.u - EYE  # towards the temple
        v = w.v + f.eye_tilt * out
        t2 = np.square(out / np.float32(f.eye_wide))
        arch = 1 - t2 * np.sqrt(t2)
        upper, lower = -f.eye_open * arch, 0.8 * f.eye_open * arch + 0.1
        w.tint(f.socket * blob(out + 0.8, v + 0.2, 6.5, 2.6), rgb(0.55, 0.42, 0.39))
        w.tint(f.bag * bell(v - 3.6 + 0.05 * out * out, 1.0) * bell(out, 4), rgb(0.55, 0.42, 0.4))
        inside = soft(v - upper, 0.3) * soft(lower - v, 0.3) * (t2 < 1.3)
        w.paint(inside, rgb(0.36, 0.30, 0.28) * soft(v - upper - 0.2, 0.8))
        du, dv = w.u - side * EYE - f.gaze_u, v - f.gaze_v
        iris = soft(f.iris - np.sqrt(du * du + dv * dv), 0.35) * inside
        w.paint(iris, f.iris_colour)
        w.paint(iris * blob(du, dv, 0.9, 0.9), rgb(0.004, 0.004, 0.004))
        glint = blob(du - 1.6 * f.light[0], dv - 1.2 * f.light[1], 0.45, 0.45) * inside
        w.paint(0.5 * glint, rgb(0.8, 0.8, 0.8))
        w.paint(f.lash * bell(v - upper + 0.1, 0.85) * soft(1.2 - t2, 0.2), rgb(0.02, 0.014, 0.012))
        w.paint(0.4 * f.lash * bell(v - lower, 0.5) * soft(1.0 - t2, 0.15), rgb(0.06, 0.035, 0.03))
        w.tint(f.crease * bell(v - upper + 1.5, 0.5) * soft(1.2 - t2, 0.2), rgb(0.5, 0.38, 0.36))
        w.height += 1.3 * blob(out, v, 3.8, 2.8) + 0.8 * bell(v - upper + 1.2, 1.2) * bell(out, 4.5) + 0.4 * bell(v - lower - 1.0, 1.0) * bell(out, 4)


def brows(c, f, rng):
    """Eyebrows."""
    hairs = noise(rng, 30)
    for side in (-1, 1):
        w = c.window(f, side * 11, f.brow_v - 0.5, 10, 6)
        s = (side * w.u - 4.2) / 14  # 0 at the inner end, 1 at the outer
        middle = f.brow_v + 1.2 - f.brow_arch * 4 * s * (1 - s) + f.brow_tilt * (s - 0.5)
        thick = f.brow_thick * np.clip(1.25 - 0.6 * s, 0.3, 1.3)
        mask = np.exp(-np.square((w.v - middle) / thick)) * soft(s, 0.1) * soft(1 - s, 0.15)
        mask *= 1 + 0.15 * hairs[: mask.shape[0], : mask.shape[1]]
        w.paint(np.clip(f.brow_dark * mask, 0, 1), f.hair_colour * 0.8 + rgb(0.012, 0.008, 0.006))


def nose(c, f):
    """Ridge, tip, wings, nostrils."""
    w = c.window(f, 5 * f.yaw, 7, 13, 15)
    long, yaw = f.nose_long, f.yaw
    rise = np.clip((w.v + 5) / (long + 5), 0, 1)  # 0 between the eyes, 1 at the tip
    du = w.u - 9 * yaw * rise
    end = soft(long + 2.0 - w.v, 1.7)
    ridge = 0.6 + (f.nose_high - 0.6) * rise * rise
    w.height += ridge * np.exp(-np.square(du / (2.8 + 1.0 * rise))) * end * soft(w.v + 6, 3)
    tip = w.u - 9 * yaw
    w.height += 0.45 * f.nose_high * blob(tip, w.v - long + 0.2, 3.2, 2.7)
    base = w.u - 6 * yaw
    wing = np.abs(base) - f.nose_wide
    w.height += 1.8 * blob(wing + 0.7, w.v - long - 0.7, 2.0, 2.2)
    w.tint(0.45 * blob(wing - 1.1, w.v - long - 0.9, 0.8, 1.8), rgb(0.6, 0.45, 0.4))  # the wings' crease
    w.tint(0.7 * blob(base, w.v - long - 2.9, f.nose_wide + 0.5, 1.3), rgb(0.5, 0.38, 0.36))  # the shadow under the tip
    nostril = blob(np.abs(base) - 0.5 * f.nose_wide, w.v - long - 2.5 + 2 * f.pitch, 1.2, 0.8)
    w.tint(f.nostril * nostril, rgb(0.2, 0.1, 0.08))


def mouth(c, f):
    """Lips, what shows between them, and the corners."""
    w = c.window(f, 2 * f.yaw, f.mouth_v, 14, 9)
    u = w.u - 2 * f.yaw
    t2 = np.square(u / np.float32(f.mouth_wide))
    arch = np.maximum(1 - t2 * np.sqrt(t2), 0)
    line = w.v - f.mouth_v + 2.0 * f.smile * (t2 - 0.4)
    gap = f.mouth_open * arch
    above, below = line + 0.35 * gap, line - 0.65 * gap  # 0 on the lips' inner edges
    thin = 1 - 0.3 * max(f.smile, 0)  # a smile stretches the lips
    bow = thin * f.upper_lip * arch * (1 - 0.25 * bell(u, 1.6))
    lip = soft(above + bow, 0.5) * soft(thin * f.lower_lip * arch - below, 0.7) * soft(1.0 - t2, 0.06)
    w.paint((0.9 - 0.35 * max(f.smile, 0)) * lip, f.lip_colour)
    w.height += 0.8 * bell(above + 0.5 * bow, 0.9) * arch + 1.1 * bell(below - 0.5 * f.lower_lip * arch, 1.1) * arch
    inside = soft(above, 0.25) * soft(-below, 0.25) * soft(1.0 - t2, 0.05) * min(1.0, 2 * f.mouth_open)
    w.paint(inside, rgb(0.05, 0.012, 0.012))
    w.paint(inside * f.teeth * soft(0.8 * f.mouth_open - above, 0.4) * soft(0.8 - t2, 0.15), rgb(0.72, 0.66, 0.60))
    w.tint(0.9 * bell(line, 0.6) * soft(1.05 - t2, 0.1) * (1 - inside), rgb(0.35, 0.22, 0.2))
    w.tint(0.4 * blob(np.abs(u) - f.mouth_wide - 0.5, line, 1.3, 1.1), rgb(0.55, 0.42, 0.4))


def beard(c, f, rng):
    """Stubble, moustache and beard; skin below a shaved beard is darker."""
    if max(f.beard, f.moustache, f.stubble) < 0.05:
        return
    u, v = c.u - 3 * f.yaw, c.v
    side, grain = np.abs(u), noise(rng, 56)
    lip = blob(u, v - f.mouth_v, f.mouth_wide * 0.9, 2.6)
    jaw = soft(v - 15 + 0.25 * np.minimum(side, 14) - 0.03 * np.square(side - 12), 2.5) * soft(c.radius - 0.12, 0.25) * soft(1.05 - c.radius, 0.05)
    over = blob(u, v - f.mouth_v + 3.3, f.mouth_wide * 0.85, 1.5) + 0.3 * blob(side - f.mouth_wide - 1, v - f.mouth_v, 1.5, 3)
    mask = (f.beard * jaw * (1 - lip) + f.moustache * np.clip(over, 0, 1)) * np.clip(1 + 0.35 * grain, 0, 1.5)
    c.tint(f.stubble * np.clip(jaw * (1 - lip) + over, 0, 1) * (1 + 0.3 * grain), rgb(0.5, 0.52, 0.58))
    c.paint(np.clip(mask, 0, 0.95), f.hair_colour + rgb(0.015, 0.012, 0.01))


def hair(c, f, rng, face):
    """Hair, its strands and the shadow it casts."""
    u, v, side = c.hu, c.hv, np.abs(c.hu)
    rough = noise(rng, 14) * (0.3 + 1.5 * f.curl) + noise(rng, 36) * 0.3
    half, top = f.head + f.sides, f.top + f.volume
    up = np.maximum(-v, 0) / np.float32(top)
    outer = np.square((side + 0.5 * rough) / np.float32(half)) + up**2.6
    surface = 22 * np.sqrt(np.maximum(1.1 - outer, 0.004)) + 0.5
    outer = soft(1 - np.sqrt(outer) - 0.03 * (v > 0), 0.035) * soft(f.ends - v + 2 * rough, 2.5)
    # the face that the hair leaves free: straight sides, a rounded top, lifted or lowered by the parting and the fringe
    fu, fv = c.u * 0.35 + c.hu * 0.65, c.v
    from_part = np.abs(fu - f.part)
    fall = f.curtain * (from_part - 8)
    free = (np.maximum(-(fv - fall + 0.4 * rough), 0) / np.float32(-f.line)) ** np.float32(f.square)
    free = free + np.abs((fu + 0.4 * rough) / np.float32(f.inner)) ** np.float32(f.square + 0.5)
    mask = np.maximum(soft(free - 1, 0.09), soft(c.radius - 0.93, 0.06))
    if f.fringe is not None:
        strands = noise(rng, 30)[0] + 0.5 * noise(rng, 60)[0]
        fringe = soft(f.fringe + f.slope * (fu - 2) + 1.6 * strands - 0.012 * fu * fu - fv, 0.7)
        mask = np.maximum(mask, fringe * (0.85 + 0.1 * strands))
    mask = np.clip(mask * outer, 0, 1)
    shadow = soft(free - 0.8, 0.15) if f.fringe is None else np.maximum(soft(free - 0.8, 0.15), soft(f.fringe + 3 - fv, 2))
    c.tint(0.5 * shadow * face, rgb(0.55, 0.45, 0.42))
    # strands run away from the parting, and downwards at the sides
    flow = np.arctan2(fu - f.part, np.maximum(fv + f.top + 6, 1)) * 9 + 0.25 * rough
    strand = 0.6 * field(30)[int(rng.integers(600)), (flow * 20 + 300).astype(int) % 600] + 0.4 * noise(rng, 10)
    halo = bell(v + f.top * 0.62 + 0.02 * u * u + 2 * f.light[0] + rough, 5)
    colour = f.hair_colour * np.exp(0.25 * strand) + 0.03 * halo * np.exp(0.5 * strand) * rgb(1, 0.95, 0.9) * rng.uniform(0.2, 1.6)
    c.paint(mask, colour)
    c.height += mask * (np.maximum(surface, c.height + 1) + 0.1 * strand - c.height)
    c.alpha[:] = np.maximum(c.alpha, mask)


def back_hair(c, f, rng):
    """The hair behind the neck, where it is long."""
    if f.bald or f.ends < 8:
        return
    half = f.head + f.sides + 0.06 * np.maximum(c.hv, 0) + 0.6 * noise(rng, 10)
    mask = soft(half - np.abs(c.hu), 0.8) * soft(c.hv + 12, 3) * soft(f.ends + 1 - c.hv, 2)
    strand = noise(rng, 40)[:1] * 0.4
    c.paint(mask, f.hair_colour * 0.7 * np.exp(strand))
    c.alpha[:] = np.maximum(c.alpha, mask)


def hat(c, f, rng):
    """A cap or a woollen hat."""
    if not f.hat:
        return
    rim = rng.normal(-17, 2) + 0.006 * np.square(c.hu) * rng.normal(0, 1)
    up = np.maximum(-c.hv, 0) / np.float32(f.top + f.volume + 1)
    inside = 1 - np.sqrt(np.square(c.hu / np.float32(f.head + 2.5)) + up**3)
    mask = soft(inside, 0.03) * soft(rim - c.hv, 0.5)
    colour = rng.random((3, 1, 1), np.float32) ** 2 * rng.uniform(0.1, 0.9)
    c.tint(0.5 * soft(rim + 4 - c.hv, 2) * c.alpha, rgb(0.5, 0.42, 0.4))
    c.paint(mask, colour * np.exp(0.15 * noise(rng, 30)))
    c.tint(mask * bell(c.hv - rim, 1.5), rgb(0.5, 0.5, 0.5))
    c.height += 2 * mask
    c.alpha[:] = np.maximum(c.alpha, mask)


def glasses(c, f, rng):
    """Frame and lenses; painted after the light, with their own."""
    if not f.glasses:
        return
    half_u, half_v, thick = rng.normal(7.3, 0.6), rng.normal(5.0, 0.8), rng.uniform(0.3, 0.9)
    frame = rgb(0.02, 0.016, 0.015) if rng.random() < 0.6 else rgb(*rng.uniform([0.1, 0.08, 0.05], [0.4, 0.35, 0.3]))
    corner, glare = rng.uniform(2, 5), rng.uniform(0, 0.12)
    w = c.window(f, 0, 1, 27, 11)
    u = w.u - 3 * f.yaw
    side, v = np.abs(u) - EYE + 0.2, w.v - 1.0
    edge = (np.abs(side / half_u) ** corner + np.abs(v / half_v) ** corner) ** (1 / corner)
    lens = soft(1 - edge, 0.05)
    w.colour += glare * lens * soft(v * 0.6 - side * np.sign(u), 3) * rgb(0.9, 1, 1)
    rim = bell((edge - 1) * half_v, thick) * (1 if rng.random() < 0.7 else soft(-v, 1.5))
    bridge = bell(v + 1.0 - 0.06 * u * u, thick) * (np.abs(u) < EYE - half_u)
    temple = bell(v + 1.2, thick) * (side > half_u) * (np.abs(w.hu) < f.head + 1)
    w.paint(np.clip(rim + bridge + temple, 0, 1) * rng.uniform(0.5, 0.95), frame)


def lit(c, f):
    """The painted colours under the light: (3, FINE, FINE)."""
    dy, dx = np.gradient(c.height, np.float32(SIZE / FINE / f.scale * 1.0))
    length = 1 / np.sqrt(dx * dx + dy * dy + 1)
    lx, ly, lz = f.light.astype(np.float32)
    cosine = (lz - lx * dx - ly * dy) * length
    # light bleeds under the skin, red the farthest: it softens the edge of the shade and warms it
    bleed = rgb(0.35, 0.22, 0.18)
    shade = np.maximum(cosine + bleed, 0) / (1 + bleed)
    half = np.array([lx, ly, lz + 1], np.float32)
    half /= np.linalg.norm(half)
    shine = np.exp(18 * ((half[2] - half[0] * dx - half[1] * dy) * length - 1))
    coarse = Image.fromarray(c.height).resize((FINE // 8, FINE // 8), Image.BOX).resize((FINE, FINE), Image.BICUBIC)
    hollow = np.maximum(np.asarray(coarse) - c.height, 0)  # little light reaches the bottom of a hollow
    around = np.exp(-0.5 * hollow)
    shade = shade * np.sqrt(around)
    around = f.ambient * around * (0.55 + 0.45 * length)
    return c.colour * (around + 1.25 * (1 - f.ambient) * shade) + 0.35 * f.shine * shine * (c.colour > 0.1)


def camera(picture, f, rng):
    """What the camera makes of the light: a JPEG-ready picture, (SIZE, SIZE, 3) uint8."""
    picture = np.clip(picture * f.exposure * f.cast, 0, None)
    picture = np.sqrt(picture / (1 + 0.12 * picture * picture))  # about sRGB's curve, with a shoulder
    grey = (GREY * picture).sum(0)
    picture = grey + f.saturation * (picture - grey)
    picture = 0.5 + f.contrast * (picture - 0.5)
    picture = np.clip(f.haze + (1 - f.haze) * picture, 0, 1)
    image = Image.fromarray((picture * 255).astype(np.uint8).transpose(1, 2, 0))
    small = round(SIZE / max(1.0, f.blur * 1.6))  # out of focus, or enlarged from a small picture
    image = image.resize((small, small), Image.LANCZOS).resize((SIZE, SIZE), Image.BICUBIC)
    grain = rng.standard_normal((SIZE, SIZE, 1), np.float32) + 0.5 * rng.standard_normal((SIZE, SIZE, 3), np.float32)
    return np.clip(np.asarray(image) + 255 * f.grain * grain, 0, 255).astype(np.uint8)


def face(number, seed=0):
    """Face `number` of the series that `seed` starts: (64, 64, 3) uint8."""
    rng = np.random.default_rng((seed, number))
    f = traits(rng)
    behind = background(rng, f)
    c = pose(f)
    c.colour[:] = behind
    back_hair(c, f, rng)
    body(c, f, rng)
    skin = head(c, f, rng)
    eyes(c, f)
    brows(c, f, rng)
    nose(c, f)
    mouth(c, f)
    beard(c, f, rng)
    hair(c, f, rng, skin)
    hat(c, f, rng)
    c.colour = behind + (lit(c, f) - behind) * c.alpha
    glasses(c, f, rng)
    return camera(c.colour, f, rng)


def draw(numbers, seed=0):
    """The faces of these numbers: (N, 64, 64, 3) uint8, sRGB."""
    return np.stack([face(number, seed) for number in numbers])


def draw_faces(folder, count=8000, seed=0, progress=tqdm):
    """Fill `folder` with faces 00000.jpg to `count` - 1, and return how many pictures it then holds.

    Pictures that are there already stay, so a run that was stopped is completed by the next. Each is written under a hidden name
    and renamed when whole.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    missing = [n for n in range(count) if not (folder / f"{n:05d}.jpg").exists()]

    def write(number):
        path = folder / f"{number:05d}.jpg"
        part = folder / f".{number:05d}.part"
        Image.fromarray(face(number, seed)).save(part, "JPEG", quality=JPEG_QUALITY)
        os.replace(part, path)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for _ in progress(pool.map(write, missing), total=len(missing), desc="Drawing faces", unit=" faces"):
            pass
    return len(list(folder.glob("*.jpg")))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Draw the embedded default faces.")
    parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).parent / "drawn")
    parser.add_argument("--count", type=int, default=8000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    print(draw_faces(arguments.folder, arguments.count, arguments.seed), "faces in", arguments.folder)
