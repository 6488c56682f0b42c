"""For the tests of measures: pictures with known relations to each other."""

import torch
from torch.nn import functional as F


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def drawn(n, seed=0, size=32):
    """Smooth random pictures around a common one, as faces are: float (n, 3, size, size) in [0, 1]."""
    common = torch.rand(1, 3, 4, 4, generator=seeded(99))
    own = torch.rand(n, 3, 8, 8, generator=seeded(seed))
    return sum(0.5 * F.interpolate(x, (size, size), mode="bilinear") for x in (common, own))


def noise(n, seed=0, size=32):
    return torch.rand(n, 3, size, size, generator=seeded(seed))


def whole(images):
    """As whole numbers, the way quality takes them."""
    return images.mul(255).round().to(torch.uint8)
