"""What faces are painted with: soft edges, random textures, and a Canvas of B faces that are painted at a time.

Coordinates. Picture: x to the right, y down, 0 to 64. Face: (u, v), the origin between the eyes, the pupils at
u = -10.3 and 10.3, the mouth near v = 20, the chin near v = 34; a unit is about 3 mm and about a pixel. Heights point
at the camera, in the same unit. Colours are linear light, 0 to 1. Maps are (B, H, W), colour maps (B, 3, H, W), all
float32; a trait is (B, 1, 1), a trait that is a colour (B, 3, 1, 1).
"""

import functools
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
from PIL import Image

SIZE = 64  # pixels along a side of a picture
EYE = 10.3  # half the distance between the pupils


def rgb(red, green, blue):
    """A colour that broadcasts over pictures: (3, 1, 1)."""
    return np.array([[[red]], [[green]], [[blue]]], np.float32)


SHADE = rgb(0.55, 0.43, 0.40)  # what a soft shadow leaves of the light on skin: it is warm
DEEP = rgb(0.25, 0.15, 0.13)  # what a crease or a hole leaves of it
DARK = rgb(0.02, 0.014, 0.012)  # pupils and lashes


def soft(distance, width):
    """A step from 0 to 1 where `distance` passes 0, about 2 * `width` wide."""
    step = np.tanh(distance / width)
    step += 1
    step *= 0.5
    return step


def bell(distance, width):
    """1 where `distance` is 0, falling off over `width`."""
    return np.exp(-np.square(distance / width))


def blob(u, v, width_u, width_v):
    """A round hill with its top, 1, where u = v = 0."""
    return np.exp(-np.square(u / width_u) - np.square(v / width_v))


@functools.cache
def field(cells):
    """A large smooth random field, (8 * SIZE, 8 * SIZE) with a standard deviation of 1; see `noise`."""
    rough = np.random.default_rng(cells).standard_normal((8 * cells, 8 * cells), np.float32)
    smooth = np.asarray(Image.fromarray(rough).resize((8 * SIZE, 8 * SIZE), Image.BICUBIC))
    return smooth / smooth.std()


def noise(f, cells, height=SIZE, width=SIZE):
    """For each face a piece of a random field, (B, height, width); `cells` features fit along SIZE pixels."""
    pieces = []
    for rng in f.rng:
        top, left = int(rng.random() * (8 * SIZE - height)), int(rng.random() * (8 * SIZE - width))
        pieces.append(field(cells)[top : top + height, left : left + width])
    return np.array(pieces, np.float32).reshape(-1, height, width)


class Canvas:
    """What has been painted so far, and where each pixel lies on the face.

    colour, height, alpha of the person; u and v on the face, hu and hv on the head behind it: they differ when the head
    is turned. radius: 1 on the outline of the face, less inside.
    """

    def __init__(self, **layers):
        self.__dict__.update(layers)

    def paint(self, mask, colour):
        """Cover with `colour` where `mask` is 1."""
        change = colour - self.colour
        change *= mask[:, None]
        self.colour += change

    def tint(self, mask, colour):
        """Multiply with `colour` where `mask` is 1."""
        self.colour -= self.colour * (mask[:, None] * (1 - colour))

    def join(self, mask):
        """What `mask` covers belongs to the person."""
        np.maximum(self.alpha, mask, out=self.alpha)

    @contextmanager
    def some(self, f, chosen):
        """The faces for which `chosen` (B, 1, 1) is not 0, as a Canvas and traits of their own; put back at the end."""
        at = np.flatnonzero(chosen)
        few = SimpleNamespace(**{name: trait[at] for name, trait in vars(f).items()})
        part = Canvas(**{name: layer[at] for name, layer in vars(self).items()})
        yield part, few
        self.colour[at], self.height[at], self.alpha[at] = part.colour, part.height, part.alpha

    @contextmanager
    def window(self, f, u, v, half_u, half_v):
        """A small Canvas around (u, v) on the face, `half_u` and `half_v` units to each side; put back at the end."""
        height, width = round(2.2 * half_v), round(2.2 * half_u)
        x, y = f.x + f.scale * (u - f.roll * v), f.y + f.scale * (v + f.roll * u)
        rows = np.clip(np.round(y - height / 2), 0, SIZE - height).astype(int) + np.arange(height)[:, None]
        columns = np.clip(np.round(x - width / 2), 0, SIZE - width).astype(int) + np.arange(width)
        at = np.arange(len(x))[:, None, None], rows, columns
        at_colour = at[0][:, None], np.arange(3)[:, None, None], rows[:, None], columns[:, None]
        part = Canvas(colour=self.colour[at_colour], height=self.height[at], u=self.u[at], v=self.v[at])
        yield part
        self.colour[at_colour], self.height[at] = part.colour, part.height
