"""further/follows.py: ranks are compared as Spearman does, at the moments of a training that it says."""

import math
from types import SimpleNamespace

import pytest
import torch
from torch import nn

import helper
from further import course, follows


def test_ranks_share_the_mean_of_their_places():
    assert follows.ranks([30, 10, 20, 10]).tolist() == [4, 1.5, 3, 1.5]


@pytest.mark.parametrize("a, b, correlation", [
    ([1, 2, 3, 4], [10, 20, 25, 1000], 1),
    ([1, 2, 3, 4], [8, 4, 2, 1], -1),
    ([1, 2, 2, 3], [1, 2, 2, 3], 1),
    ([1, 2, 3, 4, 5], [2, 1, 4, 3, 5], 0.8),  # 1 - 6 * (1 + 1 + 1 + 1) / (5 * 24)
    ([1, 2, 2, 3], [1, 2, 3, 4], 4.5 / math.sqrt(4.5 * 5)),  # Pearson's of 1, 2.5, 2.5, 4 and 1, 2, 3, 4
])
def test_the_rank_correlation_is_spearman_s(a, b, correlation):
    assert follows.spearman(a, b) == pytest.approx(correlation)
    assert math.isnan(follows.spearman(a, [7] * len(a)))


def test_the_loss_is_smoothed_over_the_batches_around_each_checkpoint(monkeypatch):
    monkeypatch.setattr(follows, "CHECKPOINTS", 2)
    images, gaps = list(range(100, 900, 100)), [8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0]
    run = SimpleNamespace(images=800, seen=[0, 50, *images], history={"images": images, "gap": gaps})
    assert [run.seen[index] for index in follows.checkpoints(run)] == [400, 800]
    assert follows.signals(run) == {"gap": [5, 2], "images seen": [400, 800]}  # 200 to 600, 600 to 800


def test_the_frechet_distance_is_taken_too_where_it_can_be(monkeypatch):
    monkeypatch.setattr("measures.embedding.face_embedding", lambda: nn.Sequential(nn.Flatten(), Halves()))
    faces = torch.randint(0, 256, (40, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    run = SimpleNamespace(images=2, seen=[1, 2], history={"images": [1, 2]}, snapshots=[faces // 2, faces])
    found = follows.distances(run, faces)
    assert list(found) == ["Fréchet, face embedding", "sliced Wasserstein x 1000"]
    assert all(far > 10 * abs(near) for far, near in found.values())


class Halves(nn.Module):
    """(N, 3072) -> (N, 2): the mean of either half."""

    def forward(self, x):
        return x.float().view(len(x), 2, -1).mean(2)


def test_all_trainings_are_judged_on_the_same_z():
    own = course.set_up(d_conv_dim=8, g_conv_dim=8, device=torch.device("cpu"))
    assert isinstance(follows.watched(own), helper.FixedFaces)
    assert torch.equal(follows.watched(own).z, follows.watched(own).z)
