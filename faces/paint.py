"""A face from its traits: painted part by part, lit, and photographed.

The parts are painted as a colour map and a height map; the height map is lit as a surface (Lambert's law, a highlight,
shade in the hollows), and a camera spoils the result a little. See canvas.py for the coordinates and the maps' shapes.
"""

import functools

import numpy as np
from PIL import Image

from faces.canvas import DARK, DEEP, EYE, SHADE, SIZE, Canvas, bell, blob, field, noise, rgb, soft


def background(f):
    """What is behind the person, out of focus."""
    tints = noise(f, 5, width=3 * SIZE).reshape(-1, SIZE, 3, SIZE).transpose(0, 2, 1, 3)
    forms = 0.12 * noise(f, 2) + f.clutter * (noise(f, 4) + noise(f, 8)) + f.leaves * noise(f, 20)
    picture = f.wall * np.exp(forms[:, None] + (0.3 * f.clutter)[:, None] * tints)
    at = np.arange(SIZE, dtype=np.float32)
    for strength, place, wide, blur, colour, x in (
        (f.door, f.door_at, f.door_wide, f.door_blur, f.door_colour, at[None, :]),
        (f.shelf, f.shelf_at, f.shelf_wide, f.shelf_blur, f.shelf_colour, at[:, None]),
    ):
        band = strength * soft(x - place, blur) * soft(place + wide - x, blur)
        picture += (colour - picture) * band[:, None]
    return picture


def pose(f, behind):
    """The canvas to begin with: for every pixel its place on the turned face and on the head."""
    at = np.arange(SIZE, dtype=np.float32) + 0.5
    x, y = (at[None, :] - f.x) / f.scale, (at[:, None] - f.y) / f.scale
    x, y = x + f.roll * y, y - f.roll * x
    depth = 2.9 - np.square(x) / 46 - np.square(y - 8) / 110  # of the face's surface, from the pupils
    hu, hv = x + 15 * f.yaw, y - 6 * f.pitch
    radius = np.square(hu / f.head) + (np.maximum(hv, 0) / f.chin) ** f.jaw + (np.maximum(-hv, 0) / f.top) ** 2.6
    return Canvas(
        colour=behind.copy(), height=-8 * np.square(hu / 30), alpha=np.zeros_like(hu), radius=radius,
        u=x - f.yaw * depth, v=y + f.pitch * depth, hu=hu, hv=hv,
    )  # fmt: skip


def back_hair(c, f):
    """The hair behind the neck, where it is long."""
    half = f.head + f.sides + 0.06 * np.maximum(c.hv, 0) + 0.6 * noise(f, 10)
    mask = soft(half - np.abs(c.hu), 0.8) * soft(c.hv + 12, 3) * soft(f.ends + 1 - c.hv, 2)
    c.paint(mask, f.hair_colour * (0.7 * np.exp(0.4 * noise(f, 40, height=1)))[:, None])
    c.join(mask)


def body(c, f):
    """Neck, shoulders and clothes."""
    x, y = c.hu - 8 * f.yaw, c.v
    side = np.abs(x)
    neck = soft(12.5 + 0.1 * np.square(np.maximum(y - 38, 0)) - side, 0.8) * soft(y - 15, 2)
    c.paint(neck, 0.85 * f.skin)
    c.tint(0.8 * neck * soft(f.chin + 5 - y, 3), SHADE)  # the chin's shadow
    cloth = soft(y - f.shoulder - 0.18 * side + 0.35 * f.collar * np.minimum(side, 13), 0.8)
    cloth *= soft(side - 7 + (y - 40) * f.collar, 1.0)
    c.paint(cloth, f.clothes * np.exp(0.25 * noise(f, 10))[:, None])
    c.join(np.maximum(neck, cloth))


def ears(c, f):
    """Ears, where the hair leaves them free."""
    du, dv = np.abs(c.hu + 8 * f.yaw) - f.head + 0.3, c.hv - 3.5
    ear = soft(1 - np.sqrt(np.square(du / 2.8) + np.square(dv / 6.0)), 0.15)
    c.paint(ear, f.skin * rgb(0.95, 0.8, 0.8))
    c.height += ear * (4 - c.height)
    c.tint(ear * blob(du, dv, 1.3, 3.5), SHADE)
    c.join(ear)


def head(c, f):
    """The skin, and the large forms of skull and flesh under it."""
    u, v, side = c.u, c.v, np.abs(c.u)
    face = soft(1 - c.radius, 0.06)
    c.paint(face, f.skin * (1 + noise(f, 20) * 0.012 + noise(f, 5) * 0.03)[:, None])
    c.join(face)
    z = 18 * np.sqrt(np.maximum(1.12 - c.radius, 0.01))
    z += f.cheek * (1 + f.smile) * blob(side - 11.5, v - 9.5, 5.5, 5)
    z += 1.5 * blob(u, v - f.chin + 4, 5, 4)
    z += 0.7 * blob(side - 8, v + 8, 8, 3) - 2.2 * f.socket * blob(side - 7.5, v + 0.5, 5, 3.4)  # brow ridge, sockets
    z += 1.6 * blob(u - 2 * f.yaw, v - f.mouth_v, 9, 6.5)  # the teeth's arch
    z -= blob(u, v - f.mouth_v - 5.5, 5, 1.6)  # the dip below the lips
    fold = bell(side - 5.2 - 0.5 * (v - 12), 1.3) * soft(v - 13, 1.5) * soft(f.mouth_v + 2 - v, 2)  # beside the mouth
    fold *= np.minimum(0.15 + 0.5 * f.smile + 0.7 * f.lines, 1)
    c.height += face * (z - 0.9 * fold - c.height)
    wrinkle = np.maximum(np.sin((v + 0.012 * u * u + 0.6 * noise(f, 6)) * 2.0), 0) * blob(u, v + 15, 13, 5)
    forehead = 0.3 * soft(-5 - v, 5) + 0.2 * blob(u, v + 2, 5, 6)  # it lies under the hair and leans back
    c.tint(face * (forehead + 0.35 * fold + 0.25 * f.lines * wrinkle), SHADE)
    c.tint(f.rosy * blob(side - 12.5, v - 11, 5, 4.5), rgb(1.0, 0.6, 0.6))
    c.colour *= (1 + 0.04 * f.lines * noise(f, 26) * face)[:, None]
    return face


def eyes(c, f):
    """Sockets, lids, whites, irises and lashes: both eyes at once, in mirrored coordinates."""
    with c.window(f, 0, -1, 20, 9) as w:
        out, way = np.abs(w.u) - EYE, np.sign(w.u)  # towards the temple
        v = w.v + f.eye_tilt * out
        t2 = np.square(out / f.eye_wide)
        arch = 1 - t2 * np.sqrt(t2)
        upper, lower = v + f.eye_open * arch, 0.8 * f.eye_open * arch + 0.1 - v  # distances from the lids
        socket = f.socket * (0.8 * blob(out + 0.8, v + 0.2, 6.5, 2.6) + 0.7 * blob(out + 2, v + 2, 5, 4.5))
        w.tint(socket + f.bag * blob(out, v - 3.6 + 0.05 * out * out, 4, 1.0), SHADE)
        inside = soft(upper, 0.3) * soft(lower, 0.3) * (t2 < 1.3)
        w.paint(inside, rgb(0.36, 0.30, 0.28) * soft(upper - 0.2, 0.8)[:, None])
        du, dv = out - f.gaze_u * way, v - f.gaze_v
        iris = inside * soft(f.iris - np.sqrt(du * du + dv * dv), 0.35)
        w.paint(iris, f.iris_colour)
        w.paint(iris * blob(du, dv, 0.9, 0.9), 0.2 * DARK)
        glint = blob(du - 1.6 * f.light_x * way, dv - 1.2 * f.light_y, 0.45, 0.45)
        w.paint(0.5 * inside * glint, np.float32(0.8))
        w.paint(f.lash * bell(upper + 0.1, 0.85) * soft(1.2 - t2, 0.2), DARK)
        w.paint(0.4 * f.lash * bell(lower, 0.5) * soft(1.0 - t2, 0.15), 2 * DARK)
        w.tint(f.crease * bell(upper + 1.5, 0.5) * soft(1.2 - t2, 0.2), SHADE)
        w.height += 1.3 * blob(out, v, 3.8, 2.8)  # the eyeball, then the lids
        w.height += 0.8 * blob(out, upper + 1.2, 4.5, 1.2) + 0.4 * blob(out, lower + 1.0, 4, 1.0)


def brows(c, f):
    """Eyebrows."""
    with c.window(f, 0, f.brow_v - 0.5, 21, 6) as w:
        s = (np.abs(w.u) - 4.2) / 14  # 0 at the inner end, 1 at the outer
        middle = f.brow_v + 1.2 - f.brow_arch * 4 * s * (1 - s) + f.brow_tilt * (s - 0.5)
        thick = f.brow_thick * np.maximum(1.25 - 0.6 * s, 0.3)
        mask = bell(w.v - middle, thick) * soft(s, 0.1) * soft(1 - s, 0.15)
        mask *= 1 + 0.15 * noise(f, 30, *mask.shape[1:])
        w.paint(f.brow_dark * np.minimum(mask, 1), 0.8 * f.hair_colour + 0.7 * DARK)


def nose(c, f):
    """Ridge, tip, wings and nostrils; the tip stands out and moves the most when the head turns."""
    with c.window(f, 5 * f.yaw, 7, 13, 15) as w:
        below = w.v - f.nose_long  # the tip
        rise = np.minimum(np.maximum((w.v + 5) / (f.nose_long + 5), 0), 1)  # 0 between the eyes, 1 at the tip
        du, tip, base = w.u - 9 * f.yaw * rise, w.u - 9 * f.yaw, w.u - 6 * f.yaw
        wing = np.abs(base) - f.nose_wide
        ridge = (1.0 + (0.75 * f.nose_high - 1.0) * rise * rise) * bell(du, 2.4 + 1.6 * rise)
        w.height += ridge * soft(1.5 - below, 2.2) * soft(w.v + 6, 3)
        w.height += 0.6 * f.nose_high * blob(tip, below - 0.2, 3.4, 2.8) + 2.0 * blob(wing + 0.9, below - 1.0, 2.2, 2.2)
        beside = 0.5 * f.socket * blob(np.abs(du) - 3.6, w.v + 1, 1.7, 4.5)
        crease = 0.45 * blob(wing - 1.1, below - 0.9, 0.8, 1.8)
        under = 0.75 * blob(base, below - 2.9, f.nose_wide + 0.5, 1.3)
        w.tint(np.minimum(beside + crease + under, 1), SHADE)
        w.tint(f.nostril * blob(np.abs(base) - 0.5 * f.nose_wide, below - 2.5 + 2 * f.pitch, 1.2, 0.8), DEEP)


def mouth(c, f):
    """Lips, what shows between them, and the corners."""
    with c.window(f, 2 * f.yaw, f.mouth_v, 14, 9) as w:
        u = w.u - 2 * f.yaw
        t2 = np.square(u / f.mouth_wide)
        arch, full = np.maximum(1 - t2 * np.sqrt(t2), 0), np.maximum(1 - t2, 0)
        line = w.v - f.mouth_v + 2.0 * f.bend * (t2 - 0.4)
        gap = f.mouth_open * arch
        above, below = line + 0.35 * gap, line - 0.65 * gap  # 0 on the lips' inner edges
        thin = 1 - 0.3 * f.smile  # a smile stretches the lips
        upper, lower = thin * f.upper_lip * full * (1 - 0.25 * bell(u, 1.4)), thin * f.lower_lip * full
        lip = soft(above + upper, 0.5) * soft(lower - below, 0.7) * soft(1.0 - t2, 0.06)
        w.paint((0.9 - 0.35 * f.smile) * lip, f.lip_colour)
        w.height += (0.8 * bell(above + 0.5 * upper, 0.9) + 1.1 * bell(below - 0.5 * lower, 1.1)) * arch
        inside = soft(above, 0.25) * soft(-below, 0.25) * soft(1.0 - t2, 0.05) * np.minimum(2 * f.mouth_open, 1)
        w.paint(inside, rgb(0.05, 0.012, 0.012))
        w.paint(f.teeth * inside * soft(0.85 * gap - above, 0.35) * np.maximum(1 - 0.6 * t2, 0), rgb(0.74, 0.66, 0.58))
        w.tint(0.85 * bell(line, 0.75) * soft(1.05 - t2, 0.1) * (1 - inside), DEEP)
        w.tint(0.4 * blob(np.abs(u) - f.mouth_wide - 0.5, line, 1.3, 1.1), SHADE)


def beard(c, f):
    """Stubble, moustache and beard."""
    u, v, grain = c.u - 3 * f.yaw, c.v - f.mouth_v, noise(f, 40)
    side = np.abs(u)
    jaw = soft(v + 4.4 + 0.25 * np.minimum(side, 14) - 0.03 * np.square(side - 12), 2.5)
    jaw *= soft(c.radius - 0.12, 0.25) * soft(1.05 - c.radius, 0.05) * (1 - blob(u, v, f.mouth_wide * 0.9, 2.6))
    over = blob(u, v + 3.3, f.mouth_wide * 0.85, 1.5) + 0.3 * blob(side - f.mouth_wide - 1, v, 1.5, 3)
    c.tint(f.stubble * np.minimum(jaw + over, 1) * (1 + 0.15 * grain), rgb(0.5, 0.52, 0.58))
    mask = (f.beard * jaw + f.moustache * np.minimum(over, 1)) * np.maximum(1 + 0.2 * grain, 0)
    c.paint(np.minimum(mask, 0.95), f.hair_colour + DARK)


@functools.cache
def smoother(width):
    """The matrix that smooths the columns of a map over `width` pixels: (SIZE, SIZE)."""
    at = np.arange(SIZE, dtype=np.float32)
    weights = bell(at[:, None] - at, width)
    return weights / weights.sum(1, keepdims=True)


def light(c, f):
    """Put what is painted so far under the light."""
    dx, dy = np.zeros_like(c.height), np.zeros_like(c.height)
    dx[:, :, 1:-1] = (c.height[:, :, 2:] - c.height[:, :, :-2]) * (0.5 * f.scale)
    dy[:, 1:-1] = (c.height[:, 2:] - c.height[:, :-2]) * (0.5 * f.scale)
    length = 1 / np.sqrt(dx * dx + dy * dy + 1)
    cosine = (f.light_z - f.light_x * dx - f.light_y * dy) * length
    hollow = smoother(6) @ c.height @ smoother(6).T - c.height
    hollow = np.exp(-0.25 * np.maximum(hollow, 0))  # little light reaches the bottom of a hollow
    wet = c.alpha * np.minimum(4 * c.colour[:, 1], 1)  # skin shines, brows and pupils do not
    bleed = rgb(0.35, 0.22, 0.18)  # light creeps under the skin, red the farthest: shade has a soft, warm edge
    shade = np.maximum(cosine[:, None] + bleed, 0) / (1 + bleed)
    shade *= (1.25 * (1 - f.ambient) * hollow)[:, None]
    shade += (f.ambient * hollow * hollow * (0.55 + 0.45 * length))[:, None]
    c.colour *= shade
    towards = (cosine + length) / np.sqrt(2 + 2 * f.light_z)  # 1 where the surface mirrors the light
    c.colour += (0.35 * f.shine * wet * np.exp(18 * (towards - 1)))[:, None]


def hair(c, f, face):
    """Hair with its own light, and the shadow it casts."""
    u, v = c.hu, c.hv
    rough = noise(f, 14) * (0.3 + 1.5 * f.curl) + noise(f, 36) * 0.3
    half, top = f.head + f.sides, f.top + f.volume
    outer = np.square((np.abs(u) + 0.5 * rough) / half) + (np.maximum(-v, 0) / top) ** 2.6  # 1 on the hair's outline
    inside = soft(1 - np.sqrt(outer), 0.035) * soft(f.ends - v + 2 * rough, 2.5)
    # the face that the hair leaves free: straight sides, a round top, lowered beside the parting and by the fringe
    fu, fv = c.u * 0.35 + u * 0.65, c.v
    fall = f.curtain * (np.abs(fu - f.part) - 8)
    free = (np.maximum(fall - fv - 0.4 * rough, 0) / f.line) ** f.square
    free += np.abs((fu + 0.4 * rough) / f.inner) ** (f.square + 0.5)
    strands = noise(f, 24, height=1) + 0.5 * noise(f, 50, height=1)
    fringe = f.fringe + f.slope * (fu - 2) - 0.012 * fu * fu - fv
    mask = np.maximum(soft(free - 1, 0.09), soft(c.radius - 0.93, 0.06))
    mask = np.maximum(mask, soft(fringe + 1.3 * strands, 1.0) * (0.85 + 0.1 * strands))
    mask = np.minimum(mask * inside, 1)
    c.tint(0.5 * face * np.maximum(soft(free - 0.8, 0.15), soft(fringe + 3, 2)), SHADE)
    # strands run away from the parting, and downwards at the sides
    flow = np.arctan2(fu - f.part, np.maximum(fv + f.top + 6, 1)) * 72 + 2 * rough
    rows = np.array([int(rng.random() * 8 * SIZE) for rng in f.rng])[:, None, None]
    strand = 0.6 * field(30)[rows, flow.astype(int) % (8 * SIZE)] + 0.4 * noise(f, 10)
    cosine = f.light_z * np.sqrt(np.maximum(1.05 - outer, 0)) + u * (f.light_x / half) + v * (f.light_y / top)
    shade = f.ambient + 1.3 * (1 - f.ambient) * np.maximum(cosine, 0.1)
    halo = f.gloss * bell(v + f.top * 0.62 + 0.02 * u * u + 2 * f.light_x + rough, 5)
    gloss = shade * halo * np.exp(0.5 * strand)
    c.paint(mask, f.hair_colour * (shade * np.exp(0.25 * strand))[:, None] + gloss[:, None])
    c.join(mask)


def hat(c, f):
    """A cap or a woollen hat."""
    rim = f.brim + f.brim_bend * np.square(c.hu) - c.hv
    inside = 1 - np.sqrt(np.square(c.hu / (f.head + 2.5)) + (np.maximum(-c.hv, 0) / (f.top + f.volume + 1)) ** 3)
    mask = soft(inside, 0.03) * soft(rim, 0.5)
    shade = np.exp(0.15 * noise(f, 30)) * (0.3 + 0.8 * np.sqrt(np.maximum(inside, 0)) + f.light_x * c.hu / 70)
    c.tint(0.5 * soft(rim + 4, 2) * c.alpha, SHADE)
    c.paint(mask, f.hat_colour * shade[:, None])
    c.tint(mask * bell(rim, 1.5), np.float32(0.5))
    c.join(mask)


def glasses(c, f):
    """Frame and lenses."""
    with c.window(f, 0, 1, 28, 10) as w:
        u, v = w.u - 3 * f.yaw, w.v - 1.0
        side = np.abs(u) - EYE + 0.2
        edge = (np.abs(side / f.lens_u) ** f.corner + np.abs(v / f.lens_v) ** f.corner) ** (1 / f.corner)
        w.colour += (f.glare * soft(1 - edge, 0.05) * soft(v * 0.6 - side * np.sign(u), 3))[:, None]
        rim = bell((edge - 1) * f.lens_v, f.rim) * np.maximum(soft(-v, 1.5), 1 - f.half_rim)
        bridge = bell(v + 1.0 - 0.06 * u * u, f.rim) * (np.abs(u) < EYE - f.lens_u)
        temple = bell(v + 1.2, f.rim) * (side > f.lens_u) * (np.abs(w.u) < f.head)
        w.paint(f.glasses * np.minimum(rim + bridge + temple, 1), f.frame)


def camera(picture, f):
    """What the camera makes of the light: (B, SIZE, SIZE, 3) uint8, about sRGB."""
    picture = np.maximum(picture * f.exposure, 0)
    picture = np.sqrt(picture / (1 + 0.12 * picture * picture))  # near sRGB's curve, with a shoulder
    grey = (0.30 * picture[:, 0] + 0.59 * picture[:, 1] + 0.11 * picture[:, 2])[:, None]
    picture = (grey + f.saturation[:, None] * (picture - grey) - 0.5) * f.contrast[:, None] + 0.5
    picture = f.haze[:, None] + (1 - f.haze[:, None]) * np.minimum(np.maximum(picture, 0), 1)
    picture = np.ascontiguousarray((picture * 255).astype(np.uint8).transpose(0, 2, 3, 1))
    for number, blur in enumerate(f.blur.ravel()):
        if blur > 1:  # out of focus, or enlarged from a small picture
            small = Image.fromarray(picture[number]).resize([round(SIZE / float(blur))] * 2, Image.LANCZOS)
            picture[number] = np.asarray(small.resize((SIZE, SIZE), Image.BICUBIC))
    grain = noise(f, SIZE, width=3 * SIZE).reshape(-1, SIZE, SIZE, 3)  # of each colour
    grain += noise(f, SIZE)[..., None]  # and of all
    picture = picture + 255 * f.grain[..., None] * grain
    return np.minimum(np.maximum(picture, 0), 255).astype(np.uint8)


def paint(f):
    """The faces of these traits (as `together` gives them): (B, 64, 64, 3) uint8, sRGB."""
    behind = background(f)
    c = pose(f, behind)
    with c.some(f, f.ends > 8) as long_haired:
        back_hair(*long_haired)
    body(c, f)
    with c.some(f, f.ears) as seen:
        ears(*seen)
    face = head(c, f)
    eyes(c, f)
    brows(c, f)
    nose(c, f)
    mouth(c, f)
    with c.some(f, f.beard + f.moustache + f.stubble > 0.05) as bearded:
        beard(*bearded)
    light(c, f)
    hair(c, f, face)
    with c.some(f, f.hat) as hatted:
        hat(*hatted)
    with c.some(f, f.glasses) as bespectacled:
        glasses(*bespectacled)
    return camera(behind + (c.colour - behind) * c.alpha[:, None], f)
