"""What is random about a face: its traits.

Their ranges were set by hand, by comparing statistics of drawn faces and of photographs.
"""

from types import SimpleNamespace

import numpy as np

from faces.canvas import DARK, SIZE, rgb


def limit(number, low, high):
    """The number, no smaller than `low` and no larger than `high`."""
    return min(max(number, low), high)


def traits(rng):
    """Everything that is random about a face but its textures: numbers, colours, lengths in face units."""
    f = SimpleNamespace()
    normal, uniform = rng.normal, rng.uniform

    def chance(share):
        return rng.random() < share

    age = uniform(2, 80)
    child, old = limit((17 - age) / 12, 0, 1), limit((age - 42) / 30, 0, 1)
    woman = chance(0.52)
    female, male = woman * (1 - child), (1 - woman) * (1 - child)

    # where the face stands, and the sines of the angles by which it is turned
    f.x, f.y = normal(31.7, 0.8), 37.0 - rng.gamma(1.0, 3.7)
    f.scale = normal(1.05, 0.045)
    f.roll, f.yaw, f.pitch = normal(-0.02, 0.03), normal(0.03, 0.19), normal(0.0, 0.09)

    # head
    f.head = normal(22.9, 0.9)  # half its width
    f.chin = normal(34.5, 1.2) - 2.5 * child + 0.8 * male
    f.jaw = normal(2.3, 0.25) + 0.35 * male + 0.2 * child  # squareness
    f.top = normal(31, 1.5)
    f.cheek = normal(0.8, 0.4) + 0.8 * child
    f.lines = old * uniform(0.4, 1.2)

    # skin, as seen in daylight
    tone = limit(normal(0.25 - 0.08 * female + 0.06 * old, 0.2), 0, 1)
    f.skin = rgb(0.66, 0.42, 0.33) * (1 - tone) + rgb(0.30, 0.15, 0.09) * tone
    f.skin = f.skin * rgb(1, normal(1, 0.04), normal(1, 0.08))
    f.rosy = abs(normal(0, 0.12)) + 0.05 * child
    f.shine = abs(normal(0, 0.25)) + 0.18

    # eyes and brows
    bend = limit(normal(0.25, 0.35), -0.1, 1.0)  # of the mouth
    f.bend, f.smile = bend, max(bend, 0)
    f.eye_wide = normal(4.35, 0.3)
    f.eye_open = max(0.25, normal(1.2, 0.33) + 0.25 * child + 0.15 * female - 0.35 * f.smile - 0.25 * old)
    f.eye_tilt = normal(0.06, 0.05)
    f.iris = normal(2.2, 0.12) + 0.15 * child
    f.iris_colour = rgb(0.03, 0.018, 0.012) * uniform(0.4, 2.2)
    if chance(0.05):
        f.iris_colour = rgb(uniform(0.05, 0.15), uniform(0.1, 0.2), uniform(0.1, 0.3))
    f.gaze_u, f.gaze_v = normal(0, 0.5), normal(-0.1, 0.2)
    f.lash = uniform(0.42, 0.68) + 0.22 * female
    f.crease = uniform(0, 0.6)
    f.socket = abs(normal(0.45, 0.2)) + 0.15 * old
    f.bag = abs(normal(0, 0.12)) + 0.25 * f.lines
    f.brow_v = normal(-6.3, 0.8) - 0.4 * child
    f.brow_thick = abs(normal(1.35, 0.3) + 0.35 * male - 0.15 * child)
    f.brow_dark = limit(normal(0.7, 0.15) + 0.15 * male - 0.2 * child - 0.2 * old, 0.1, 0.95)
    f.brow_arch, f.brow_tilt = normal(1.1, 0.5), normal(0.6, 0.8)

    # nose and mouth
    f.nose_long = normal(10.4, 0.9) - 1.2 * child
    f.nose_wide = normal(4.8, 0.45) - 0.4 * child + 0.3 * male
    f.nose_high = normal(3.8, 0.8) - 1.0 * child
    f.nostril = uniform(0.3, 0.9)
    f.mouth_v = normal(19.4, 0.7) - 1.0 * child
    f.mouth_wide = normal(7.9, 0.7) + 1.5 * f.smile - 0.9 * child
    f.mouth_open = max(0.0, normal(0.1, 0.5) + (normal(2.4, 0.7) if f.smile > 0.45 else 0.0))
    f.teeth = uniform(0.7, 1.0) if f.smile > 0.3 else uniform(0, 0.6)
    f.upper_lip, f.lower_lip = abs(normal(2.3, 0.45)), abs(normal(3.2, 0.5))
    f.lip_colour = f.skin * rgb(0.60, 0.31, 0.34) * normal(1, 0.1)
    if female and chance(0.45):
        f.lip_colour = f.lip_colour * 0.5 + 0.5 * rgb(uniform(0.35, 0.6), uniform(0.03, 0.12), uniform(0.04, 0.14))

    # hair
    f.hair_colour = rgb(0.013, 0.010, 0.009) * uniform(0.3, 2.0)
    if chance(0.28 if woman else 0.1):
        f.hair_colour = rgb(0.10, 0.055, 0.03) * uniform(0.5, 1.8)
    if chance(0.03):
        f.hair_colour = rgb(0.42, 0.28, 0.13) * uniform(0.7, 1.2)
    grey = limit(old * normal(0.8, 0.4), 0, 1) * uniform(0, 1) ** 2
    f.hair_colour = f.hair_colour * (1 - grey) + rgb(0.34, 0.33, 0.32) * grey
    f.gloss = uniform(0.006, 0.05)
    f.volume, f.sides = normal(6.5, 2), normal(3.0, 1.0)  # how far it stands off the skull, above and beside
    f.line = normal(21, 1.8)  # how high the hairline is
    f.part, f.curtain = 0.0, 0.0  # where it parts, how steeply it falls from there
    f.fringe, f.slope = -99.0, 0.0  # how far the fringe comes down, how it slants
    f.inner = normal(21.8, 0.8)  # half the width of the face that the hair leaves free
    f.ends = normal(0, 3)  # how far down the sides reach
    f.square = uniform(2.0, 3.2)
    f.curl = abs(normal(0, 0.35))
    f.ears = 1.0
    if woman:
        shares = [0.32, 0.22, 0.26, 0.20] if old < 0.3 else [0.1, 0.2, 0.2, 0.5]
        style = rng.choice(["long", "bob", "tied", "short"], p=shares)
        if style != "tied":
            f.sides, f.volume = f.sides + 1.2, f.volume + 1
        if style == "long":
            f.ends, f.inner = 80.0, normal(19.5, 1.3)
        if style == "bob":
            f.ends, f.inner = normal(22, 5), normal(19.3, 1.2)
        if style == "short":
            f.ends, f.curl = normal(8, 5), f.curl + 0.4 * old
        f.part, f.curtain = normal(0, 6), max(0, normal(0.25, 0.25))
        if (style != "tied" and chance(0.45 - 0.3 * old)) or chance(0.3 * child):
            f.fringe, f.slope = normal(-12.8, 1.7), normal(0, 0.13)
        f.ears = float(style in ("tied", "short") and chance(0.6))
    else:
        f.line += 4.5 * max(0, normal(0.3, 0.6)) * old
        f.sides -= 1.0
        if chance(0.4 - 0.25 * old):
            f.fringe, f.slope = normal(-15.5, 2.2), normal(0, 0.18)
        else:
            f.part, f.curtain = normal(0, 7), max(0, normal(0.1, 0.2))
        if chance(0.03 + 0.15 * old):  # bald: the sides remain
            f.line, f.fringe, f.sides, f.volume, f.inner, f.square = 60.0, -99.0, 0.8, 0.5, normal(20.5, 0.7), 2.5
    f.beard = male * chance(0.14) * uniform(0.2, 0.8)
    f.moustache = male * chance(0.2) * uniform(0.2, 0.8)
    f.stubble = male * abs(normal(0, 0.2))

    # what is worn
    f.glasses = chance(0.03 + 0.13 * (1 - child)) * uniform(0.5, 0.95)
    f.lens_u, f.lens_v, f.rim, f.corner = normal(7.3, 0.6), normal(5.0, 0.8), uniform(0.3, 0.9), uniform(2, 5)
    f.glare, f.half_rim = uniform(0, 0.12), float(chance(0.3))  # half: the rim is above the lens only
    f.frame = DARK if chance(0.6) else rgb(uniform(0.1, 0.4), uniform(0.08, 0.35), uniform(0.05, 0.3))
    f.hat, f.brim, f.brim_bend = float(chance(0.04)), normal(-17, 2), normal(0, 0.006)
    f.hat_colour = rgb(*rng.random(3) ** 2) * uniform(0.1, 0.9)
    f.clothes = rgb(*rng.random(3) ** 2) * uniform(0.05, 0.9)
    f.collar, f.shoulder = uniform(0.2, 1.2), normal(42, 2)

    # what is behind: a wall, or a room or trees out of focus
    behind = rng.choice(["white", "wall", "passport", "dark", "room", "leaves"], p=[0.19, 0.17, 0.11, 0.08, 0.38, 0.07])
    f.wall = uniform(0.01, 0.6) ** 1.5 * (0.5 + rgb(*rng.random(3)))
    if behind == "white":
        f.wall = rgb(0.95, 0.95, 0.95) * uniform(0.7, 1.2)
    elif behind == "passport":
        f.wall = (rgb(0.62, 0.04, 0.05) if chance(0.5) else rgb(0.03, 0.25, 0.6)) * uniform(0.6, 1.2)
    elif behind == "dark":
        f.wall = f.wall * 0.1
    elif behind == "leaves":
        f.wall = rgb(0.13, 0.15, 0.08) * uniform(0.3, 1.6)
    f.wall = f.wall * rgb(1.06, 0.98, 0.95)
    f.clutter = uniform(0.3, 0.7) * (behind in ("room", "leaves"))
    f.leaves = 0.6 * (behind == "leaves")
    for edge in ("door", "shelf"):  # an upright and a level band
        setattr(f, edge, uniform(0.4, 1) * (behind == "room" and chance(0.6)))
        setattr(f, edge + "_at", uniform(0, SIZE))
        setattr(f, edge + "_wide", uniform(2, 30))
        setattr(f, edge + "_blur", uniform(0.4, 2))
        setattr(f, edge + "_colour", uniform(0, 0.9) * (0.6 + 0.4 * rgb(*rng.random(3))))

    # light: the direction it comes from, and how much of it comes from all around
    f.light_x, f.light_y = normal(0, 0.38), normal(-0.04, 0.25)
    f.light_z = max(0.3, 1 - f.light_x**2 - f.light_y**2) ** 0.5
    f.ambient = uniform(0.1, 0.5)

    # camera
    f.exposure = rgb(np.exp(normal(0.03, 0.10)), 1.0, np.exp(normal(-0.03, 0.16))) * float(np.exp(normal(-0.04, 0.42)))
    f.saturation = limit(normal(1.0, 0.25), 0.3, 1.6) * (not chance(0.045))
    f.contrast = limit(normal(1.32, 0.15), 0.6, 1.6)
    f.haze = abs(normal(0, 0.03))
    f.blur = limit(rng.gamma(3, 0.35), 1.0, 2.6)
    f.grain = abs(normal(0, 0.004)) + 0.002
    return f


def together(generators):
    """The traits of faces that are drawn at a time, stacked; `rng` holds their generators."""
    faces = [traits(rng) for rng in generators]
    f = SimpleNamespace(rng=np.array(generators))
    for name in vars(faces[0]):
        stacked = np.array([getattr(face, name) for face in faces], np.float32)
        setattr(f, name, stacked if stacked.ndim > 1 else stacked[:, None, None])
    return f
