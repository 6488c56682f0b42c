"""Are generated faces copies of photographs that the generator was trained on?"""

import torch
import torch.nn.functional as F

from measures.needs import check_images


def nearest_photographs(faces, photographs, k=50):
    """The k photographs nearest to each face; a photograph's mirror image counts as the photograph.

    Distance: root mean square difference of pixels in [0, 1], both averaged down to 16 x 16, so that a little noise or
    a shift by half a pixel does not hide a copy.
    faces (N, 3, S, S), photographs (M, 3, S, S): float in [0, 1].
    Returns distances (N, k), nearest first, and the photographs' indices (N, k); k is at most M.
    """
    check_images(faces=faces, photographs=photographs)
    k = min(k, len(photographs))
    small = F.adaptive_avg_pool2d(photographs, 16)
    straight, mirrored = small.flatten(1), small.flip(3).flatten(1)
    distances, indices = [], []
    for some in F.adaptive_avg_pool2d(faces, 16).flatten(1).split(256):  # 256 x M distances at a time
        nearest = torch.minimum(torch.cdist(some, straight), torch.cdist(some, mirrored)).topk(k, largest=False)
        distances.append(nearest.values / straight.shape[1] ** 0.5)
        indices.append(nearest.indices)
    return torch.cat(distances), torch.cat(indices)


def closeness(faces, photographs, skip=0):
    """How much nearer each face (N, 3, S, S) is to one photograph than to the next 49: near 0 for a copy, below 1.

    The distance to the nearest of the photographs (M, 3, S, S), divided by the mean distance to the next 49. The ratio
    is that of Carlini et al. 2023 (extracting training data from diffusion models); the distance alone would call a
    smooth face a copy, because a smooth face is near to all photographs.
    skip: how many of the nearest to pass over; 1 where the faces are photographs of the same set.
    Returns (N,). Raises ValueError on fewer than 100 photographs.
    """
    if len(photographs) < 100:
        raise ValueError(f"{len(photographs)} photographs are too few to tell a copy from a likeness: give 100 or more.")
    distances = nearest_photographs(faces, photographs, 50 + skip)[0][:, skip:]
    return distances[:, 0] / distances[:, 1:].mean(1).clamp(min=1e-6)


def memorised_share(faces, photographs):
    """Share of faces that are closer to a training photograph than photographs it was not trained on are.

    The rule: up to 1,000 of the photographs are held out in turn and their `closeness` to the rest is taken; a face is
    memorised if it is closer than 99 % of them. A generator that copies nothing, and new photographs, score about 0.01.
    Collections hold some pictures twice; held-out pictures that are such copies (closeness below 0.5) do not count
    among the 99 %, or a generator could copy as much as it likes.
    """
    held_out = closeness(photographs[:: -(-len(photographs) // 1000)], photographs, skip=1)
    distinct = held_out[held_out > 0.5]
    limit = distinct.quantile(0.01) if len(distinct) else 0.5
    return (closeness(faces, photographs) < limit).float().mean().item()
