"""Perceptual path length (Karras, Laine and Aila, 2019, https://arxiv.org/abs/1812.04948, section 4.1).

How much does a picture change on the way from one latent vector to another, in small steps? Where the way is not smooth,
features come and go on it that neither end has.
"""

import torch
import torch.nn.functional as F


def slerp(a, b, t):
    """From a to b, (N, D), along arcs: the points at t, (N, 1), of 0 to 1. Returns (N, D)."""
    angle = torch.acos(F.cosine_similarity(a, b, dim=1))[:, None]
    return (torch.sin((1 - t) * angle) * a + torch.sin(t * angle) * b) / torch.sin(angle)


def path_length(make, way, a, b, epsilon=1e-4):
    """E[d(make(way(a, b, t)), make(way(a, b, t + epsilon))) / epsilon^2], t even in [0, 1], by E[d(make(a), make(b))].

    The paper's d is a network's; here it is the sum of the pixels' squared differences. To divide by that of the ends
    is not in the paper: pale pictures would gain without it. 1 is the least: each picture fades evenly into the other.
    (The authors' code leaves out the first and the last hundredth of all lengths besides.)
    make: function of (N, D) that returns pictures (N, C, S, S); way: slerp or torch.lerp; a, b: float64 (N, D), because
        float32 is too coarse for two pictures that are so near.
    """
    t = torch.rand(len(a), 1, dtype=a.dtype, generator=torch.Generator().manual_seed(0)).to(a.device)
    total = straight = 0.0
    for one, other, at in zip(a.split(50), b.split(50), t.split(50), strict=True):
        on_the_way = [way(one, other, at), way(one, other, at + epsilon)]
        here, there, first, last = make(torch.cat([*on_the_way, one, other])).chunk(4)
        total += ((there - here) / epsilon).square().sum().item()
        straight += (last - first).square().sum().item()
    return total / straight
