"""Sliced Wasserstein distance: do small patches have the texture of photographs, at every scale?"""

import numpy as np
import torch
import torch.nn.functional as F

from measures.needs import check_images


def _laplacian_pyramid(images):
    """Split (N, 3, S, S) into its levels of detail, S, S / 2, ... 16 pixels wide; the last keeps the colours too."""
    kernel = torch.tensor([1.0, 4, 6, 4, 1], device=images.device) / 16
    kernel = (kernel[:, None] * kernel).expand(3, 1, 5, 5)

    def blur(x):
        return F.conv2d(F.pad(x, (2, 2, 2, 2), mode="reflect"), kernel, groups=3)

    levels = []
    while images.shape[-1] >= 32 and images.shape[-1] % 2 == 0:
        smaller = blur(images)[:, :, ::2, ::2]
        spread = torch.zeros_like(images)
        spread[:, :, ::2, ::2] = 4 * smaller  # one pixel in four is set, so the blur that fills the gaps must not dim
        levels.append(images - blur(spread))
        images = smaller
    return [*levels, images]


def sliced_wasserstein(a, b, patches=128, directions=128, generator=None):
    """Sliced Wasserstein distance between the patches of two sets of images, level by level of a Laplacian pyramid.

    After Karras et al. 2018 (progressive growing): patches of 7 x 7, normalised per colour channel within their own set,
    are projected on random directions, where the distance between two sets is that of their sorted values.
    It sees the texture of each scale; not the overall tint and contrast, nor whether the parts make up a face.

    a, b:       float images (N, 3, S, S) in [0, 1], the same number and size. S is 16 or more.
    patches:    patches per image and level. Memory: about 0.4 MB for each image of a.
    generator:  torch.Generator on the CPU, for positions and directions.
    Returns {width of the level in pixels: distance x 1000}, finest level first, and "mean", their mean. 0: the same.
    Raises ValueError on images of another kind, or on sets that differ in number or size.
    """
    check_images(a=a, b=b)
    if a.shape != b.shape:
        raise ValueError(f"a {tuple(a.shape)} and b {tuple(b.shape)} must be of the same number and size.")
    distances = {}
    for pair in zip(_laplacian_pyramid(a), _laplacian_pyramid(b), strict=True):
        n, _, size, _ = pair[0].shape
        projection = F.normalize(torch.randn(directions, 3 * 7 * 7, generator=generator), dim=1).to(a.device)
        y, x = torch.randint(size - 6, (2, n * patches), generator=generator).to(a.device)
        image = torch.arange(n, device=a.device).repeat_interleave(patches)
        projected = []
        for level in pair:  # the same positions in both, so that a set against itself scores 0
            cut = level.unfold(2, 7, 1).unfold(3, 7, 1)[image, :, y, x]  # n * patches x 3 x 7 x 7
            std, mean = torch.std_mean(cut, (0, 2, 3), keepdim=True)
            along = projection @ ((cut - mean) / std.clamp(min=1e-6)).flatten(1).T  # directions x n * patches
            projected.append(np.sort(along.cpu().numpy()))  # on a CPU several times as fast as torch's sort
        distances[size] = 1000 * float(np.abs(projected[0] - projected[1]).mean())
    return {**distances, "mean": sum(distances.values()) / len(distances)}
