"""Draws the embedded default faces: photograph-like pictures that need no download.

`draw_faces(folder)` fills a folder with 64 x 64 JPEG pictures; `draw(numbers)` returns them as an array. A face depends on the seed
and on its own number alone. Each is a set of random traits, painted part by part as a colour map and a height map; the height map is
lit as a surface (Lambert's law, a highlight, shade in the hollows), and a camera spoils the result a little.

Coordinates. Picture: x to the right, y down, 0 to 64. Face: (u, v), the origin between the eyes, the pupils at u = -10.3 and 10.3, the
mouth near v = 20, the chin near v = 33; a unit is about 3 mm and about a pixel. Heights point at the camera, in the same unit.
Colours are linear light, 0 to 1, channel first: (3, H, W).
"""

import argparse
import functools
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from PIL import Image
from tqdm.auto import tqdm

SIZE = 64  # pixels along a side of a picture
EYE = 10.3  # half the distance between the pupils
JPEG_QUALITY = 92


def rgb(red, green, blue):
    """A colour that broadcasts over a picture: (3, 1, 1)."""
    return np.array([[[red]], [[green]], [[blue]]], np.float32)


def limit(number, low, high):
    """The number, no smaller than `low` and no larger than `high`."""
    return min(max(number, low), high)


def soft(distance, width):
    """A step from 0 to 1 where `distance` passes 0, about 2 * `width` wide."""
    step = np.tanh(distance * (1 / width))
    step += 1
    step *= 0.5
    return step


def bell(distance, width):
    """1 where `distance` is 0, falling off over `width`."""
    return np.exp(np.square(distance * (1 / width)) * -1)


def blob(u, v, width_u, width_v):
    """A round hill with its top, 1, where u = v = 0."""
    return np.exp(np.square(u * (1 / width_u)) * -1 - np.square(v * (1 / width_v)))


@functools.cache
def field(cells):
    """A large smooth random field, (8 * SIZE, 8 * SIZE) with a standard deviation of 1, the same in every run; see `noise`."""
    rough = np.random.default_rng(cells).standard_normal((8 * cells, 8 * cells), np.float32)
    smooth = np.asarray(Image.fromarray(rough).resize((8 * SIZE, 8 * SIZE), Image.BICUBIC))
    return smooth / smooth.std()


def noise(rng, cells):
    """A piece of a random field, (SIZE, SIZE), read only; `cells` is how many features fit along a side."""
    top, left = int(rng.random() * 7 * SIZE), int(rng.random() * 7 * SIZE)
    return field(cells)[top : top + SIZE, left : left + SIZE]


class Canvas:
    """What has been painted so far, and where each pixel lies on the face.

    colour (3, H, W), height (H, W), alpha (H, W) of the person; u and v (H, W) on the face, hu and hv (H, W) on the head behind it:
    they differ when the head is turned. radius (H, W): 1 on the outline of the face, less inside.
    """

    def __init__(self, **layers):
        self.__dict__.update(layers)

    def window(self, f, u, v, half_u, half_v):
        """Views of the part around the point (u, v) of the face, `half_u` and `half_v` units to each side: painted there, painted here."""
        x, y = f.x + f.scale * (u - f.roll * v), f.y + f.scale * (v + f.roll * u)
        half_x, half_y = f.scale * half_u, f.scale * half_v
        rows = slice(limit(round(y - half_y), 0, SIZE), limit(round(y + half_y), 0, SIZE))
        columns = slice(limit(round(x - half_x), 0, SIZE), limit(round(x + half_x), 0, SIZE))
        return Canvas(**{name: layer[..., rows, columns] for name, layer in self.__dict__.items()})

    def paint(self, mask, colour):
        """Cover with `colour` (3, ...) where `mask` (H, W) is 1."""
        change = colour - self.colour
        change *= mask
        self.colour += change

    def tint(self, mask, colour):
        """Multiply with `colour` (3, ...) where `mask` (H, W) is 1."""
        self.colour -= self.colour * (mask * (1 - colour))


def traits(rng):
    """Everything that is random about a face but its textures: a namespace of numbers, lengths in face units."""
    f = SimpleNamespace()
    normal, uniform = rng.normal, rng.uniform

    def chance(share):
        return rng.random() < share

    f.age = uniform(2, 80)
    f.child = limit((17 - f.age) / 12, 0, 1)
    f.old = limit((f.age - 42) / 30, 0, 1)
    f.woman = chance(0.52)
    female = f.woman * (1 - f.child)
    male = (1 - f.woman) * (1 - f.child)

    # where the face stands, and the sines of the angles by which it is turned
    f.x, f.y = normal(31.7, 0.8), 36.7 - rng.gamma(1.0, 3.7)
    f.scale = normal(1.05, 0.045)
    f.roll, f.yaw, f.pitch = normal(-0.02, 0.03), normal(0.03, 0.20), normal(0.0, 0.09)

    # head
    f.head = normal(22.9, 0.9)  # half its width
    f.chin = normal(34.0, 1.2) - 2.5 * f.child + 0.8 * male
    f.jaw = normal(2.45, 0.25) + 0.35 * male + 0.2 * f.child  # squareness
    f.top = normal(31, 1.5)
    f.cheek = normal(0.8, 0.4) + 0.8 * f.child
    f.lines = f.old * uniform(0.3, 1.0)

    # skin, as seen in daylight
    tone = limit(normal(0.25 - 0.08 * female + 0.06 * f.old, 0.2), 0, 1)
    f.skin = (rgb(0.66, 0.42, 0.33) * (1 - tone) + rgb(0.30, 0.15, 0.09) * tone) * rgb(1, normal(1, 0.04), normal(1, 0.08))
    f.rosy = abs(normal(0, 0.12)) + 0.05 * f.child
    f.shine = abs(normal(0, 0.25)) + 0.1

    # eyes and brows
    f.smile = limit(normal(0.25, 0.35), -0.1, 1.0)
    f.eye_wide = normal(4.35, 0.3)
    f.eye_open = max(0.25, normal(1.3, 0.33) + 0.25 * f.child + 0.15 * female - 0.35 * max(f.smile, 0) - 0.25 * f.old)
    f.eye_tilt = normal(0.09, 0.05)
    f.iris = normal(2.35, 0.12) + 0.15 * f.child
    f.iris_colour = rgb(0.03, 0.018, 0.012) * uniform(0.4, 2.2)
    if chance(0.05):
        f.iris_colour = rgb(uniform(0.05, 0.15), uniform(0.1, 0.2), uniform(0.1, 0.3))
    f.gaze_u, f.gaze_v = normal(0, 0.5), normal(-0.1, 0.2)
    f.lash = uniform(0.5, 0.75) + 0.25 * female
    f.crease = uniform(0, 0.6)
    f.socket = abs(normal(0.45, 0.2)) + 0.15 * f.old
    f.bag = abs(normal(0, 0.12)) + 0.25 * f.lines
    f.brow_v = normal(-6.3, 0.8) - 0.4 * f.child
    f.brow_thick = abs(normal(1.5, 0.3) + 0.35 * male - 0.15 * f.child)
    f.brow_dark = limit(normal(0.75, 0.15) + 0.15 * male - 0.2 * f.child - 0.2 * f.old, 0.1, 0.95)
    f.brow_arch, f.brow_tilt = normal(1.6, 0.5), normal(0.6, 0.8)

    # nose and mouth
    f.nose_long = normal(11.0, 0.8) - 1.2 * f.child
    f.nose_wide = normal(5.1, 0.45) - 0.4 * f.child + 0.3 * male
    f.nose_high = normal(3.8, 0.8) - 1.0 * f.child
    f.nostril = uniform(0.3, 0.9)
    f.mouth_v = normal(19.4, 0.7) - 1.0 * f.child
    f.mouth_wide = normal(7.9, 0.7) + 1.5 * max(f.smile, 0) - 0.9 * f.child
    f.mouth_open = max(0.0, normal(0.1, 0.5) + (normal(2.4, 0.7) if f.smile > 0.45 else 0.0))
    f.teeth = uniform(0.7, 1.0) if f.smile > 0.3 else uniform(0, 0.6)
    f.upper_lip, f.lower_lip = abs(normal(2.1, 0.45)), abs(normal(3.0, 0.5))
    f.lip_colour = f.skin * rgb(0.60, 0.31, 0.34) * normal(1, 0.1)
    if female and chance(0.45):
        f.lip_colour = f.lip_colour * 0.5 + 0.5 * rgb(uniform(0.35, 0.6), uniform(0.03, 0.12), uniform(0.04, 0.14))

    # hair
    f.hair_colour = rgb(0.013, 0.010, 0.009) * uniform(0.3, 2.0)
    if chance(0.28 if f.woman else 0.1):
        f.hair_colour = rgb(0.10, 0.055, 0.03) * uniform(0.5, 1.8)
    if chance(0.03):
        f.hair_colour = rgb(0.42, 0.28, 0.13) * uniform(0.7, 1.2)
    grey = limit(f.old * normal(0.8, 0.4), 0, 1) * uniform(0, 1) ** 2
    f.hair_colour = f.hair_colour * (1 - grey) + rgb(0.34, 0.33, 0.32) * grey
    f.volume, f.sides = normal(6.5, 2), normal(3.4, 1.0)  # how far it stands off the skull, above and beside
    f.line = normal(-21, 1.8)  # where the hairline is
    f.part, f.curtain = 0.0, 0.0  # where it parts, how steeply it falls from there
    f.fringe, f.slope = None, 0.0  # how far the fringe comes down, how it slants
    f.inner = normal(21.8, 0.8)  # half the width of the face that the hair leaves free
    f.ends = normal(0, 3)  # how far down the sides reach
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
        if (style != "tied" and chance(0.45 - 0.3 * f.old)) or chance(0.3 * f.child):
            f.fringe, f.slope = normal(-11, 2), normal(0, 0.15)
    else:
        style = "short"
        f.line -= 4.5 * max(0, normal(0.3, 0.6)) * f.old
        f.sides -= 1.0
        if chance(0.4 - 0.25 * f.old):
            f.fringe, f.slope = normal(-14, 2.5), normal(0, 0.25)
        else:
            f.part, f.curtain = normal(0, 7), max(0, normal(0.1, 0.2))
        if chance(0.03 + 0.15 * f.old):  # bald: the sides remain
            f.line, f.fringe, f.sides, f.volume, f.inner, f.square = -60.0, None, 0.8, 0.5, normal(20.5, 0.7), 2.5
    f.ears = style in ("tied", "short") and (not f.woman or chance(0.6))
    f.beard = male * chance(0.14) * uniform(0.2, 0.8)
    f.moustache = male * chance(0.2) * uniform(0.2, 0.8)
    f.stubble = male * abs(normal(0, 0.2))

    f.glasses = chance(0.03 + 0.13 * (1 - f.child))
    f.hat = chance(0.04)

    # light: the direction it comes from, and how much of it comes from all around
    direction = np.array([normal(0, 0.4), normal(-0.2, 0.3), 1.0])
    f.light = [float(part) for part in direction / np.linalg.norm(direction)]
    f.ambient = uniform(0.12, 0.55)

    # camera
    f.exposure = float(np.exp(normal(0.08, 0.42)))
    f.cast = rgb(np.exp(normal(0.03, 0.10)), 1.0, np.exp(normal(-0.03, 0.16)))
    f.saturation = limit(normal(1.0, 0.25), 0.3, 1.6) * (not chance(0.045))
    f.contrast = limit(normal(1.27, 0.15), 0.6, 1.6)
    f.haze = abs(normal(0, 0.03))
    f.blur = limit(rng.gamma(3, 0.35), 1.0, 2.6)
    f.grain = abs(normal(0, 0.004)) + 0.002
    return f


def background(rng):
    """What is behind the person, out of focus: (3, SIZE, SIZE)."""
    uniform = rng.uniform
    kind = rng.choice(["white", "plain", "room", "leaves", "dark"], p=[0.18, 0.28, 0.37, 0.07, 0.10])
    base = uniform(0.01, 0.6) ** 1.5 * (0.5 + rng.random((3, 1, 1), np.float32))
    if kind == "white":
        base = rgb(0.95, 0.95, 0.95) * uniform(0.7, 1.2)
    elif kind == "dark":
        base = base * 0.1
    elif kind == "leaves":
        base = rgb(0.13, 0.15, 0.08) * uniform(0.3, 1.6)
    elif kind == "plain" and uniform() < 0.5:  # the red or blue of passport pictures
        base = (rgb(0.7, 0.02, 0.03) if uniform() < 0.6 else rgb(0.03, 0.25, 0.6)) * uniform(0.6, 1.2)
    picture = base * (1 + 0.12 * noise(rng, 2))
    if kind in ("room", "leaves"):
        for cells in (3, 7) if kind == "room" else (6, 20):
            picture = picture * np.exp(0.45 * noise(rng, cells) + 0.12 * np.stack([noise(rng, cells) for _ in range(3)]))
    if kind == "room":
        x = np.arange(SIZE, dtype=np.float32)
        for _ in range(rng.integers(1, 4)):  # edges of furniture, windows, doors
            place = uniform(0, SIZE)
            band = soft(x - place, uniform(0.4, 2)) * soft(place + uniform(2, 30) - x, uniform(0.4, 2)) * uniform(0.4, 1)
            colour = uniform(0, 0.9) * (0.6 + 0.4 * rng.random((3, 1, 1), np.float32))
            picture += (colour - picture) * (band[None, :] if uniform() < 0.6 else band[:, None])
    return picture * rgb(1.06, 0.98, 0.95)


def pose(f, behind):
    """The canvas to begin with: for every pixel its place on the turned face and on the head."""
    at = np.arange(SIZE, dtype=np.float32) + 0.5
    x, y = (at[None, :] - f.x) * (1 / f.scale), (at[:, None] - f.y) * (1 / f.scale)
    x, y = x + f.roll * y, y - f.roll * x
    depth = 2.9 - x * x * (1 / 46) - np.square(y - 8) * (1 / 110)  # of the face's surface, from the pupils
    hu, hv = x + 15 * f.yaw, y - 6 * f.pitch
    radius = np.square(hu * (1 / f.head)) + (np.maximum(hv, 0) * (1 / f.chin)) ** f.jaw + (np.maximum(-hv, 0) * (1 / f.top)) ** 2.6
    height, alpha = -8 * np.square(hu * (1 / 30)), np.zeros_like(hu)
    return Canvas(colour=behind.copy(), height=height, alpha=alpha, radius=radius, u=x - f.yaw * depth, v=y + f.pitch * depth, hu=hu, hv=hv)


def back_hair(c, f, rng):
    """The hair behind the neck, where it is long."""
    if f.ends < 8:
        return
    half = f.head + f.sides + 0.06 * np.maximum(c.hv, 0) + 0.6 * noise(rng, 10)
    mask = soft(half - np.abs(c.hu), 0.8) * soft(c.hv + 12, 3) * soft(f.ends + 1 - c.hv, 2)
    c.paint(mask, f.hair_colour * (0.7 * np.exp(0.4 * noise(rng, 40)[:1])))
    np.maximum(c.alpha, mask, out=c.alpha)


def body(c, f, rng):
    """Neck, shoulders and clothes."""
    x, y = c.hu - 8 * f.yaw, c.v
    side = np.abs(x)
    neck = soft(12.5 + 0.1 * np.square(np.maximum(y - 38, 0)) - side, 0.8) * soft(y - 15, 2)
    c.paint(neck, f.skin * 0.85)
    c.tint(neck * soft(f.chin + 5 - y, 3), rgb(0.65, 0.6, 0.58))  # the chin's shadow
    clothes = rng.random((3, 1, 1), np.float32) ** 2 * rng.uniform(0.05, 0.9)
    opening = rng.uniform(0.2, 1.2)  # of the collar
    cloth = soft(y - 42 - 0.18 * side + 0.35 * opening * np.minimum(side, 13) - rng.normal(0, 2), 0.8)
    cloth *= soft(side - 7 + (y - 40) * opening, 1.0)
    c.paint(cloth, clothes * np.exp(0.25 * noise(rng, 10)))
    np.maximum(neck, cloth, out=neck)
    np.maximum(c.alpha, neck, out=c.alpha)


def ears(c, f):
    """Ears, where the hair leaves them free."""
    if not f.ears:
        return
    du, dv = np.abs(c.hu + 8 * f.yaw) - f.head + 0.3, c.hv - 3.5
    ear = soft(1 - np.sqrt(np.square(du * (1 / 2.8)) + np.square(dv * (1 / 6.0))), 0.15)
    c.paint(ear, f.skin * rgb(0.95, 0.8, 0.8))
    c.tint(ear * blob(du, dv, 1.3, 3.5), rgb(0.6, 0.45, 0.45))
    np.maximum(c.alpha, ear, out=c.alpha)


def head(c, f, rng):
    """The skin, and the large forms of skull and flesh under it."""
    u, v, side, smile = c.u, c.v, np.abs(c.u), max(f.smile, 0)
    face = soft(1 - c.radius, 0.06)
    c.paint(face, f.skin * np.exp((noise(rng, 20) * 0.012 + noise(rng, 5) * 0.03) * rgb(0.8, 1.2, 1.2)))
    np.maximum(c.alpha, face, out=c.alpha)
    z = 18 * np.sqrt(np.maximum(1.12 - c.radius, 0.01))
    z += f.cheek * (1 + smile) * blob(side - 11.5, v - 9.5, 5.5, 5) + 1.5 * blob(u, v - f.chin + 4, 5, 4)  # cheeks, chin
    z += 0.7 * blob(side - 8, v + 8, 8, 3) - 2.2 * f.socket * blob(side - 7.5, v + 0.5, 5, 3.4)  # brow ridge, sockets
    z += 1.6 * blob(u - 2 * f.yaw, v - f.mouth_v, 9, 6.5) - 1.0 * blob(u, v - f.mouth_v - 5.5, 5, 1.6)  # muzzle, the dip below the lips
    fold = bell(side - 5.2 - 0.5 * (v - 12), 1.3) * soft(v - 13, 1.5) * soft(f.mouth_v + 2 - v, 2)  # from the nose to the mouth's corners
    fold *= min(1.0, 0.15 + 0.5 * smile + 0.7 * f.lines)
    c.height += face * (z - 0.9 * fold - c.height)
    c.tint(0.35 * fold, rgb(0.6, 0.45, 0.4))
    c.tint((0.3 * soft(-5 - v, 5) + 0.2 * blob(u, v + 2, 5, 6)) * face, rgb(0.55, 0.5, 0.5))  # the forehead lies under the hair
    c.tint(f.rosy * blob(side - 12.5, v - 11, 5, 4.5), rgb(1.0, 0.6, 0.6))
    if f.lines > 0.15:  # wrinkles
        wave = np.sin((v + 0.012 * u * u + 0.6 * noise(rng, 6)) * 2.0)
        c.tint(0.25 * f.lines * np.maximum(wave, 0) * blob(u, v + 15, 13, 5), rgb(0.55, 0.45, 0.4))
        c.colour *= 1 + 0.05 * f.lines * noise(rng, 40) * face
    return face


def eyes(c, f):
    """Sockets, lids, whites, irises and lashes: both eyes at once, in mirrored coordinates."""
    w = c.window(f, 0, -1, 20, 9)
    out = np.abs(w.u) - EYE  # towards the temple
    v = w.v + f.eye_tilt * out
    t2 = np.square(out * (1 / f.eye_wide))
    arch = 1 - t2 * np.sqrt(t2)
    upper, lower = v + f.eye_open * arch, 0.8 * f.eye_open * arch + 0.1 - v  # distances from the lids
    w.tint(f.socket * blob(out + 0.8, v + 0.2, 6.5, 2.6), rgb(0.65, 0.52, 0.49))
    w.tint(0.8 * f.socket * blob(out + 2, v + 2, 5, 4.5), rgb(0.6, 0.5, 0.47))
    w.tint(f.bag * blob(out, v - 3.6 + 0.05 * out * out, 4, 1.0), rgb(0.55, 0.42, 0.4))
    inside = soft(upper, 0.3) * soft(lower, 0.3) * (t2 < 1.3)
    w.paint(inside, rgb(0.36, 0.30, 0.28) * soft(upper - 0.2, 0.8))
    du, dv = out - f.gaze_u * np.sign(w.u), v - f.gaze_v
    iris = soft(f.iris - np.sqrt(du * du + dv * dv), 0.35) * inside
    w.paint(iris, f.iris_colour)
    w.paint(iris * blob(du, dv, 0.9, 0.9), rgb(0.004, 0.004, 0.004))
    w.paint(0.5 * inside * blob(du - 1.6 * f.light[0] * np.sign(w.u), dv - 1.2 * f.light[1], 0.45, 0.45), rgb(0.8, 0.8, 0.8))
    w.paint(f.lash * bell(upper + 0.1, 0.85) * soft(1.2 - t2, 0.2), rgb(0.02, 0.014, 0.012))
    w.paint(0.4 * f.lash * bell(lower, 0.5) * soft(1.0 - t2, 0.15), rgb(0.06, 0.035, 0.03))
    w.tint(f.crease * bell(upper + 1.5, 0.5) * soft(1.2 - t2, 0.2), rgb(0.5, 0.38, 0.36))
    w.height += 1.3 * blob(out, v, 3.8, 2.8) + 0.8 * blob(out, upper + 1.2, 4.5, 1.2) + 0.4 * blob(out, lower + 1.0, 4, 1.0)


def brows(c, f, rng):
    """Eyebrows."""
    w = c.window(f, 0, f.brow_v - 0.5, 21, 6)
    s = (np.abs(w.u) - 4.2) * (1 / 14)  # 0 at the inner end, 1 at the outer
    middle = f.brow_v + 1.2 - f.brow_arch * 4 * s * (1 - s) + f.brow_tilt * (s - 0.5)
    thick = f.brow_thick * np.maximum(1.25 - 0.6 * s, 0.3)
    mask = bell((w.v - middle) / thick, 1) * soft(s, 0.1) * soft(1 - s, 0.15)
    mask *= 1 + 0.15 * noise(rng, 30)[: mask.shape[0], : mask.shape[1]]
    w.paint(f.brow_dark * np.minimum(mask, 1), f.hair_colour * 0.8 + rgb(0.012, 0.008, 0.006))


def nose(c, f):
    """Ridge, tip, wings and nostrils; the tip stands out and moves the most when the head turns."""
    w = c.window(f, 5 * f.yaw, 7, 13, 15)
    below = w.v - f.nose_long  # the tip
    rise = np.minimum(np.maximum((w.v + 5) * (1 / (f.nose_long + 5)), 0), 1)  # 0 between the eyes, 1 at the tip
    du, tip, base = w.u - 9 * f.yaw * rise, w.u - 9 * f.yaw, w.u - 6 * f.yaw
    ridge = (1.0 + (0.75 * f.nose_high - 1.0) * rise * rise) * bell(du / (2.4 + 1.6 * rise), 1) * soft(1.5 - below, 2.2) * soft(w.v + 6, 3)
    wing = np.abs(base) - f.nose_wide
    w.height += ridge + 0.6 * f.nose_high * blob(tip, below - 0.2, 3.4, 2.8) + 2.0 * blob(wing + 0.9, below - 1.0, 2.2, 2.2)
    w.tint(0.5 * f.socket * blob(np.abs(du) - 3.6, w.v + 1, 1.7, 4.5), rgb(0.5, 0.38, 0.36))  # beside the bridge
    w.tint(0.45 * blob(wing - 1.1, below - 0.9, 0.8, 1.8), rgb(0.6, 0.45, 0.4))  # the wings' crease
    w.tint(0.7 * blob(base, below - 2.9, f.nose_wide + 0.5, 1.3), rgb(0.5, 0.38, 0.36))  # the shadow under the tip
    nostril = blob(np.abs(base) - 0.5 * f.nose_wide, below - 2.5 + 2 * f.pitch, 1.2, 0.8)
    w.tint(f.nostril * nostril, rgb(0.2, 0.1, 0.08))


def mouth(c, f):
    """Lips, what shows between them, and the corners."""
    w = c.window(f, 2 * f.yaw, f.mouth_v, 14, 9)
    smile = max(f.smile, 0)
    u = w.u - 2 * f.yaw
    t2 = np.square(u * (1 / f.mouth_wide))
    arch = np.maximum(1 - t2 * np.sqrt(t2), 0)
    line = w.v - f.mouth_v + 2.0 * f.smile * (t2 - 0.4)
    above, below = line + 0.35 * f.mouth_open * arch, line - 0.65 * f.mouth_open * arch  # 0 on the lips' inner edges
    thin = 1 - 0.3 * smile  # a smile stretches the lips
    full = np.maximum(1 - t2, 0)
    upper, lower = thin * f.upper_lip * full * (1 - 0.25 * bell(u, 1.4)), thin * f.lower_lip * full
    lip = soft(above + upper, 0.5) * soft(lower - below, 0.7) * soft(1.0 - t2, 0.06)
    w.paint((0.9 - 0.35 * smile) * lip, f.lip_colour)
    w.height += (0.8 * bell(above + 0.5 * upper, 0.9) + 1.1 * bell(below - 0.5 * lower, 1.1)) * arch
    inside = soft(above, 0.25) * soft(-below, 0.25) * soft(1.0 - t2, 0.05) * min(1.0, 2 * f.mouth_open)
    w.paint(inside, rgb(0.05, 0.012, 0.012))
    w.paint(f.teeth * inside * soft(0.85 * f.mouth_open * arch - above, 0.35) * (1 - 0.6 * t2), rgb(0.74, 0.66, 0.58))
    w.tint(0.95 * bell(line, 0.75) * soft(1.05 - t2, 0.1) * (1 - inside), rgb(0.35, 0.22, 0.2))
    w.tint(0.4 * blob(np.abs(u) - f.mouth_wide - 0.5, line, 1.3, 1.1), rgb(0.55, 0.42, 0.4))


def beard(c, f, rng):
    """Stubble, moustache and beard."""
    if max(f.beard, f.moustache, f.stubble) < 0.05:
        return
    u, v, grain = c.u - 3 * f.yaw, c.v - f.mouth_v, noise(rng, 56)
    side = np.abs(u)
    lip = blob(u, v, f.mouth_wide * 0.9, 2.6)
    jaw = soft(v + 4.4 + 0.25 * np.minimum(side, 14) - 0.03 * np.square(side - 12), 2.5) * soft(c.radius - 0.12, 0.25) * soft(1.05 - c.radius, 0.05)
    jaw *= 1 - lip
    over = blob(u, v + 3.3, f.mouth_wide * 0.85, 1.5) + 0.3 * blob(side - f.mouth_wide - 1, v, 1.5, 3)
    c.tint(f.stubble * np.minimum(jaw + over, 1) * (1 + 0.3 * grain), rgb(0.5, 0.52, 0.58))
    mask = (f.beard * jaw + f.moustache * np.minimum(over, 1)) * np.maximum(1 + 0.35 * grain, 0)
    c.paint(np.minimum(mask, 0.95), f.hair_colour + rgb(0.015, 0.012, 0.01))


def light(c, f):
    """Put what is painted so far under the light."""
    lx, ly, lz = f.light
    dy, dx = np.gradient(c.height, 1 / f.scale)
    length = 1 / np.sqrt(dx * dx + dy * dy + 1)
    cosine = (lz - lx * dx - ly * dy) * length
    wet = c.alpha * np.minimum(4 * c.colour[1], 1)  # skin shines, brows and pupils do not
    bleed = rgb(0.35, 0.22, 0.18)  # light creeps under the skin, red the farthest: the edge of the shade is soft and warm
    shade = np.maximum(cosine + bleed, 0) * (1 / (1 + bleed))
    coarse = Image.fromarray(c.height).resize((SIZE // 8, SIZE // 8), Image.BOX).resize((SIZE, SIZE), Image.BICUBIC)
    hollow = np.exp(np.maximum(np.asarray(coarse) - c.height, 0) * -0.25)  # little light reaches the bottom of a hollow
    shade *= 1.25 * (1 - f.ambient) * hollow
    shade += f.ambient * hollow * hollow * (0.55 + 0.45 * length)
    c.colour *= shade
    towards = (cosine + length) * float(1 / np.sqrt(2 + 2 * lz))  # 1 where the surface mirrors the light
    c.colour += 0.35 * f.shine * wet * np.exp(18 * (towards - 1))


def hair(c, f, rng, face):
    """Hair with its own light, and the shadow it casts."""
    u, v, side = c.hu, c.hv, np.abs(c.hu)
    rough = noise(rng, 14) * (0.3 + 1.5 * f.curl) + noise(rng, 36) * 0.3
    half, top = f.head + f.sides, f.top + f.volume
    outer = np.square((side + 0.5 * rough) * (1 / half)) + (np.maximum(-v, 0) * (1 / top)) ** 2.6  # 1 on the hair's outline
    inside = soft(1 - np.sqrt(outer), 0.035) * soft(f.ends - v + 2 * rough, 2.5)
    # the face that the hair leaves free: straight sides, a round top, lowered beside the parting and by the fringe
    fu, fv = c.u * 0.35 + u * 0.65, c.v
    fall = f.curtain * (np.abs(fu - f.part) - 8)
    free = (np.maximum(fall - fv - 0.4 * rough, 0) * (-1 / f.line)) ** f.square
    free += np.abs((fu + 0.4 * rough) * (1 / f.inner)) ** (f.square + 0.5)
    mask = np.maximum(soft(free - 1, 0.09), soft(c.radius - 0.93, 0.06))
    shadow = soft(free - 0.8, 0.15)
    if f.fringe is not None:
        strands = noise(rng, 30)[0] + 0.5 * noise(rng, 60)[0]
        fringe = f.fringe + f.slope * (fu - 2) - 0.012 * fu * fu - fv
        mask = np.maximum(mask, soft(fringe + 1.6 * strands, 0.7) * (0.85 + 0.1 * strands))
        shadow = np.maximum(shadow, soft(fringe + 3, 2))
    mask = np.minimum(np.maximum(mask * inside, 0), 1)
    c.tint(0.5 * shadow * face, rgb(0.55, 0.45, 0.42))
    # strands run away from the parting, and downwards at the sides
    flow = np.arctan2(fu - f.part, np.maximum(fv + f.top + 6, 1)) * 9 + 0.25 * rough
    strand = 0.6 * field(30)[int(rng.random() * 8 * SIZE), (flow * 8).astype(int) % (8 * SIZE)] + 0.4 * noise(rng, 10)
    halo = 0.03 * rng.uniform(0.2, 1.6) * bell(v + f.top * 0.62 + 0.02 * u * u + 2 * f.light[0] + rough, 5)
    lx, ly, lz = f.light
    cosine = lz * np.sqrt(np.maximum(1.05 - outer, 0)) + u * (lx / half) + v * (ly / top)
    shade = f.ambient + 1.3 * (1 - f.ambient) * np.maximum(cosine, 0.1)
    c.paint(mask, f.hair_colour * (shade * np.exp(0.25 * strand)) + rgb(1, 0.95, 0.9) * (shade * halo * np.exp(0.5 * strand)))
    np.maximum(c.alpha, mask, out=c.alpha)


def hat(c, f, rng):
    """A cap or a woollen hat."""
    if not f.hat:
        return
    rim = rng.normal(-17, 2) + 0.006 * rng.normal(0, 1) * np.square(c.hu) - c.hv
    inside = 1 - np.sqrt(np.square(c.hu * (1 / (f.head + 2.5))) + (np.maximum(-c.hv, 0) * (1 / (f.top + f.volume + 1))) ** 3)
    mask = soft(inside, 0.03) * soft(rim, 0.5)
    colour = rng.random((3, 1, 1), np.float32) ** 2 * rng.uniform(0.1, 0.9)
    c.tint(0.5 * soft(rim + 4, 2) * c.alpha, rgb(0.5, 0.42, 0.4))
    c.paint(mask, colour * (np.exp(0.15 * noise(rng, 30)) * (0.3 + 0.8 * np.sqrt(np.maximum(inside, 0)) + 0.3 * f.light[0] * c.hu * (1 / 22))))
    c.tint(mask * bell(rim, 1.5), rgb(0.5, 0.5, 0.5))
    np.maximum(c.alpha, mask, out=c.alpha)


def glasses(c, f, rng):
    """Frame and lenses."""
    if not f.glasses:
        return
    half_u, half_v, thick = rng.normal(7.3, 0.6), rng.normal(5.0, 0.8), rng.uniform(0.3, 0.9)
    dark = rng.random() < 0.6
    frame = rgb(0.02, 0.016, 0.015) if dark else rgb(rng.uniform(0.1, 0.4), rng.uniform(0.08, 0.35), rng.uniform(0.05, 0.3))
    corner, glare = rng.uniform(2, 5), rng.uniform(0, 0.12)
    w = c.window(f, 0, 1, 27, 11)
    u, v = w.u - 3 * f.yaw, w.v - 1.0
    side = np.abs(u) - EYE + 0.2
    edge = (np.abs(side * (1 / half_u)) ** corner + np.abs(v * (1 / half_v)) ** corner) ** (1 / corner)
    w.colour += glare * soft(1 - edge, 0.05) * soft(v * 0.6 - side * np.sign(u), 3)
    rim = bell((edge - 1) * half_v, thick) * (1 if rng.random() < 0.7 else soft(-v, 1.5))
    bridge = bell(v + 1.0 - 0.06 * u * u, thick) * (np.abs(u) < EYE - half_u)
    temple = bell(v + 1.2, thick) * (side > half_u) * (np.abs(w.hu) < f.head + 1)
    w.paint(np.minimum(rim + bridge + temple, 1) * rng.uniform(0.5, 0.95), frame)


def camera(picture, f, rng):
    """What the camera makes of the light: (SIZE, SIZE, 3) uint8, about sRGB."""
    picture = np.maximum(picture * (f.exposure * f.cast), 0)
    picture = np.sqrt(picture / (1 + 0.12 * picture * picture))  # near sRGB's curve, with a shoulder
    grey = 0.30 * picture[0] + 0.59 * picture[1] + 0.11 * picture[2]
    picture = (grey + f.saturation * (picture - grey) - 0.5) * f.contrast + 0.5
    picture = f.haze + (1 - f.haze) * np.minimum(np.maximum(picture, 0), 1)
    image = Image.fromarray((picture * 255).astype(np.uint8).transpose(1, 2, 0))
    if f.blur > 1:  # out of focus, or enlarged from a small picture
        image = image.resize([round(SIZE / f.blur)] * 2, Image.LANCZOS).resize((SIZE, SIZE), Image.BICUBIC)
    grain = np.stack([noise(rng, SIZE) for _ in range(3)], 2) + noise(rng, SIZE)[:, :, None]
    return np.minimum(np.maximum(np.asarray(image) + 255 * f.grain * grain, 0), 255).astype(np.uint8)


def face(number, seed=0):
    """Face `number` of the series that `seed` starts: (64, 64, 3) uint8."""
    rng = np.random.default_rng((seed, number))
    f = traits(rng)
    behind = background(rng)
    c = pose(f, behind)
    back_hair(c, f, rng)
    body(c, f, rng)
    ears(c, f)
    skin = head(c, f, rng)
    eyes(c, f)
    brows(c, f, rng)
    nose(c, f)
    mouth(c, f)
    beard(c, f, rng)
    light(c, f)
    hair(c, f, rng, skin)
    hat(c, f, rng)
    glasses(c, f, rng)
    return camera(behind + (c.colour - behind) * c.alpha, f, rng)


def draw(numbers, seed=0):
    """The faces of these numbers: (N, 64, 64, 3) uint8, sRGB."""
    return np.stack([face(number, seed) for number in numbers])


def draw_faces(folder, count=8000, seed=0):
    """Fill `folder` with the faces 00000.jpg to `count` - 1, and return how many pictures it then holds.

    Pictures that are there already stay, so a run that was stopped is completed by the next. Each is written under a hidden name
    and renamed when it is whole.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    missing = [number for number in range(count) if not (folder / f"{number:05d}.jpg").exists()]

    def write(number):
        part = folder / f".{number:05d}.part"
        Image.fromarray(face(number, seed)).save(part, "JPEG", quality=JPEG_QUALITY)
        os.replace(part, folder / f"{number:05d}.jpg")

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for _ in tqdm(pool.map(write, missing), total=len(missing), desc="drawing faces", unit="face", disable=None):
            pass
    return len(list(folder.glob("*.jpg")))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Draw the embedded default faces.")
    parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).parent / "drawn")
    parser.add_argument("--count", type=int, default=8000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    print(draw_faces(arguments.folder, arguments.count, arguments.seed), "faces in", arguments.folder)
