"""What measures ask for: pictures of the right kind, and packages or weights that may not be on this machine."""


class Missing(Exception):
    """A measure cannot be taken here; the message says why and what it takes."""


def check_images(**sets):
    """Raise a ValueError that names the first of `sets` that is not float images (N, 3, S, S) in [0, 1]."""
    for name, x in sets.items():
        if x.dim() != 4 or x.shape[1] != 3 or x.shape[2] != x.shape[3] or not len(x):
            raise ValueError(f"{name} has shape {tuple(x.shape)}: give square images as (N, 3, S, S).")
        if not x.is_floating_point() or not (x.min() >= 0 and x.max() <= 1):
            raise ValueError(f"{name} must be float images in [0, 1]; scale [-1, 1] with (x + 1) / 2, uint8 with / 255.")
