"""One picture, read as people see it; and names and errors from outside, safe to print."""

import contextlib
import warnings

import numpy as np
from PIL import Image, ImageOps

MAX_PIXELS = 50_000_000  # of one picture
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM")  # not EPS, for which Pillow starts Ghostscript


def open_picture(file):
    """Read one picture as people see it.

    file: path, or binary file open for reading.
    Returns an RGB PIL.Image, 8 bits a channel: the first frame, turned as its EXIF data says, alpha laid over white,
    16 bits scaled down to 8; grey, palette and CMYK become RGB.
    Raises ValueError with one line that gives the reason: unreadable, cut off, of another format, or of more than
    MAX_PIXELS pixels.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of odd metadata; the picture matters
            with Image.open(file, formats=FORMATS) as image:
                return _as_seen(image)
    except Exception as error:  # the decoders raise a dozen types on damaged data; all mean the same to the caller
        unknown = isinstance(error, Image.UnidentifiedImageError)
        raise ValueError(f"not a readable picture ({'unknown format' if unknown else first_line(error)})") from None


def _as_seen(image):
    if image.width * image.height > MAX_PIXELS:
        raise ValueError(f"{image.width} x {image.height} pixels; the limit is {MAX_PIXELS:,}")
    if image.mode == "F":
        raise ValueError("its pixels are floating point numbers of unknown range")
    image.load()
    with contextlib.suppress(Exception):  # damaged EXIF data says nothing about the pixels
        image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):  # 16 bits a pixel; 65535 // 257 = 255
        image = Image.fromarray((np.asarray(image).clip(0, 65535) // 257).astype(np.uint8))
    if image.has_transparency_data:
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
    return image.convert("RGB")


def shown(name):
    """A name from outside, safe to print: no control characters, not endless."""
    return "".join(c if c.isprintable() else "?" for c in name[-100:])


def first_line(error):
    """An error in one line that is safe to print."""
    return shown((str(error) or type(error).__name__).splitlines()[0])
