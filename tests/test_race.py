"""benchmarks/race.py: who trains how, what is kept, and what is read off it."""

import csv
import sys

import pytest
import torch
from torchvision.transforms.v2.functional import to_pil_image

from benchmarks import race
from benchmarks.quality import Row
from benchmarks.race import Look


def training(name, seed=0, pace=100, power=0.5, looks=10):
    """A training whose distance is (images / 1,000) ** -power, judged every 1,000 images."""
    return [Look(name, seed, 1000 * n, 1000 * n / pace, n**-power) for n in range(1, looks + 1)]


def test_looks_lie_closer_together_at_the_start():
    epochs = race.epochs_at(37)
    assert epochs[:4] == [1, 2, 3, 4] and epochs[-1] == 37 and len(epochs) <= race.LOOKS
    assert race.epochs_at(1) == [1]


def test_seconds_are_read_off_a_power_law_exactly():
    assert race.seconds_below(training("default"), goal=2.5**-0.5) == pytest.approx(25)
    assert race.seconds_below(training("default"), goal=1.1) == pytest.approx(10)  # at the first look already
    assert race.seconds_below(training("default"), goal=0.1) is None


def test_a_distance_that_rises_above_the_goal_again_does_not_count():
    looks = training("default", looks=6)
    looks[3] = looks[3]._replace(distance=0.9)
    assert 40 < race.seconds_below(looks, goal=0.7) < 50


def test_distances_at_equal_seconds_are_read_off_a_power_law_exactly():
    slow, fast = training("best", pace=50), training("default", pace=200)
    assert race.distance_after(slow, 50) == pytest.approx(2.5**-0.5)
    assert race.distance_after(slow, 20) == 1 and race.distance_after(slow, 200) == pytest.approx(10**-0.5)
    assert race.distance_after(slow[:1], 20) == race.distance_after([slow[0], slow[0]], 20) == 1  # a clock's tick apart
    assert race.at_equal_seconds(slow, [fast, fast]) == pytest.approx(2)  # after 50 s: 2,500 images and 10,000
    assert race.at_equal_seconds(fast, [slow]) == pytest.approx(0.5)


def test_the_table_has_the_ratio_to_the_default():
    trainings = [training("default", pace=200), training("tutorial"), training("learners", power=0.1)]
    rows = race.table(trainings, goal=2.5**-0.5).splitlines()[2:]
    assert rows[0].endswith("| 12 | 1.00 |") and rows[1].endswith("| 25 | 2.00 |")
    assert rows[2].endswith("| not reached | over 8.00 |")
    assert race.table(trainings[1:], goal=2.5**-0.5).count("| - |") == 4  # no default, no ratios


@pytest.fixture
def raced(tmp_path, monkeypatch):
    """Function that runs the program on 40 pictures of noise, the distance being that of the mean brightness."""
    (tmp_path / "pictures" / "all").mkdir(parents=True)
    noise = torch.randint(0, 256, (40, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    for number, picture in enumerate(noise):
        to_pil_image(picture).save(tmp_path / "pictures" / "all" / f"{number:02}.png")
    monkeypatch.setattr(race, "split_at", lambda pictures: (torch.arange(30), torch.arange(30, 40)))
    monkeypatch.setattr(race, "HELD_OUT", 10)
    monkeypatch.setattr(race, "face_embedding", lambda: None)
    monkeypatch.setattr(race, "features", lambda network, faces: faces.float().mean() / 255)
    monkeypatch.setattr(race, "feature_distances", lambda a, b: (abs(float(a - b)) + 1e-3,))
    monkeypatch.setattr(race.quality, "measure", lambda faces, reals, train: [Row("found", len(faces), (0.5,))])
    monkeypatch.setattr(race.quality, "floor", lambda reals, train: [Row("found", len(reals), (0.75,))])

    def run(*arguments):
        folders = [str(tmp_path / "pictures"), "--folder", str(tmp_path / "kept")]
        monkeypatch.setattr(sys, "argv", ["race.py", *folders, *arguments])
        race.main()

    run.kept = tmp_path / "kept"
    return run


def test_a_race_is_run_kept_and_gone_on_with(raced, capsys):
    raced("learners", "tutorial", "default", "best", "--images", "60", "--seeds", "0")
    out = capsys.readouterr().out
    assert "| tutorial | 0 |" in out and (raced.kept / "race.png").stat().st_size > 1000
    looks = race.read(raced.kept / "tutorial-32-0" / "looks.csv")
    assert [look.images for look in looks] == [30, 60] and looks[0].seconds < looks[1].seconds

    raced("default", "--images", "90", "--seeds", "0")
    out = capsys.readouterr().out
    assert "| default, seed 0, not averaged (1 x 3,000) | 0.500 |" in out and "| photographs (1 x 10) | 0.750 |" in out
    assert out.count("default, seed 0:") == 1 and "| learners | 0 |" in out
    assert [look.images for look in race.read(raced.kept / "default-32-0" / "looks.csv")] == [30, 60, 90]


def test_learners_and_tutorial_run_in_float32_and_decode_at_every_use(raced, tmp_path):
    places = torch.arange(30)
    photographs = torch.zeros(40, 3, 32, 32, dtype=torch.uint8)
    for name in ("learners", "tutorial"):
        _, own, faces = race.entered(name, 32, tmp_path / "pictures", photographs, places)
        with own.helper.fast_math(torch.device("cpu")):
            assert not torch.is_autocast_enabled("cpu")
        assert len(faces.dataset) == 30 and faces.batch_size == 128
        assert next(iter(faces))[0].shape == (30, 3, 32, 32)
    assert race.entered("default", 32, None, photographs, places)[2].shape == (30, 3, 32, 32)


def test_what_cannot_be_raced_is_one_line(raced, capsys):
    with pytest.raises(SystemExit, match="^race.py: the goal is the distance of tutorial"):
        raced("default", "--images", "30", "--seeds", "0")
    with pytest.raises(SystemExit):
        raced("nobody")
    assert "there is no recipe nobody" in capsys.readouterr().err


def test_what_is_kept_is_a_table_of_its_own(tmp_path):
    race.write(tmp_path / "looks.csv", training("default", looks=2))
    with (tmp_path / "looks.csv").open(newline="") as file:
        assert next(csv.reader(file)) == ["recipe", "seed", "images", "seconds", "distance"]
    assert race.read(tmp_path / "looks.csv") == training("default", looks=2)
    assert race.read(tmp_path / "none.csv") == []
