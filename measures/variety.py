"""MS-SSIM of random pairs: do the faces differ from each other?"""

import torch

from measures.needs import check_images


def variety(images, pairs=2000, generator=None):
    """Mean MS-SSIM of random pairs: 1 if all images are the same, lower the more they differ (Odena et al. 2017).

    Read it beside the value of photographs: above theirs, the generator repeats itself; below, it may be noise.
    images: float (N, 3, S, S) in [0, 1], S at least 32. The window is 7 x 7, so that S = 32, 64, 128 has 3, 4, 5 scales;
    values of different S must not be compared.
    """
    # Imported here, because it takes seconds and nothing else in this file needs it.
    from torchmetrics.functional.image import multiscale_structural_similarity_index_measure as ms_ssim

    check_images(images=images)
    if len(images) < 2:
        raise ValueError("images holds one picture: variety is about two or more.")
    if images.shape[-1] < 32:
        raise ValueError(f"images are {images.shape[-1]} pixels wide: MS-SSIM needs 32 or more.")
    weights = torch.tensor([0.0448, 0.2856, 0.3001, 0.2363, 0.1333])  # Wang et al. 2003
    weights = weights[: int(images.shape[-1]).bit_length() - 3]
    weights = tuple((weights / weights.sum()).tolist())
    first = torch.randint(len(images), (pairs,), generator=generator)
    second = (first + torch.randint(1, len(images), (pairs,), generator=generator)) % len(images)  # never itself
    total = 0.0
    for i, j in zip(first.split(250), second.split(250), strict=True):
        total += ms_ssim(
            images[i], images[j], sigma=0.8, kernel_size=7, betas=weights, data_range=1.0, reduction="sum"
        ).item()
    return total / pairs
