"""How to train a GAN? Tips and tricks to make GANs work. Chintala, Denton, Arjovsky and Mathieu, 2016.

https://github.com/soumith/ganhacks

    python -m further.hints                                            every hint, a short training for each
    python -m further.hints --only 2 9 13                              some of them, by their numbers
    python -m further.hints FOLDER --images 65538 --seeds 0 1 --folder results/hints    on photographs, kept

The idea: seventeen hints that many took over, most of them without a measurement. Here each is switched in the notebook's
recipe, alone: left out where the notebook follows it, followed where it does not. All are trained on equally many images,
and their faces are compared. Three hints have no switch; the table says why.

What differs from the notebook: one thing in each training, in a few lines (switches.py). Traps:
- "better" and "worse" are said of the faces of the training in that row, and only if all its seeds lie beyond all the
  notebook's: where a hint was left out, "worse" speaks for it. With two seeds each, a hint that changes nothing still comes
  out as one of the two once in three times.
- 4: in G's step D sees fakes alone, as is usual where the hint is not followed; BatchNorm then meets other statistics.
- 6: cross-entropy is linear in the label. These labels have the mean gradient of 0.9, the notebook's; only noise is new. The
  source softens those of fakes too, 0 to 0.3: then nothing would drive on a fake that is like no photograph (improved.py).
- 9 needs a learning rate, which the hint does not give. With 0.01 and a momentum of 0.9, D's loss rose above 30.
- 11 needs two bounds. With 1 for D and 1.5 for G both losses came to lie below, and from then on nothing moved.

Measured on photographs, 65,538 images, two seeds. "Worse" by both measures: 4, 7 and 9. "Better" by both: ReLU in D too
(against 5), the schedule (against 11), and two steps of D (14), which takes longer for it. README.md has the table.
"""

import math
import textwrap
from functools import partial
from typing import NamedTuple

from common import FaceError
from further import beside, course, switches

MEASURES = ("sliced Wasserstein x 1000", "Fréchet, face embedding")  # of those of beside.distances


class Hint(NamedTuple):
    """words: what it says; notebook: does the notebook do it? training: what is trained here, or why nothing is; system:
    function that makes the beside.System of that training, or None.
    """

    number: int
    words: str
    notebook: str
    training: str
    system: object = None


# --- The seventeen ----------------------------------------------------------------------------------------------------

BASE = Hint(0, "", "", "the notebook's recipe", beside.notebook)
HINTS = (
    Hint(1, "pictures in [-1, 1], and tanh at the end of G", "yes",
         "left out: D sees pixels in [0, 1]", partial(switches.with_layers, d=switches.pixels_from_0)),
    Hint(2, "G makes log D larger, not log(1 - D) smaller", "yes",
         "left out: G makes log(1 - D) smaller", partial(switches.with_losses, g=switches.saturating)),
    Hint(3, "z from a normal distribution, not from a cube; walks between two z along an arc", "yes",
         "left out: z from the cube [-1, 1]", lambda: beside.System(course.set_up(random_z=switches.cube_z))),
    Hint(4, "batches for D that are all real or all generated; where BatchNorm does not fit, instance normalisation", "yes",
         "left out: both in one batch in D's step", partial(switches.with_losses, switches.one_batch)),
    Hint(5, "no sparse gradients: leaky ReLU in both networks, strides in place of max pooling", "partly: ReLU in G",
         "left out: ReLU in D too", partial(switches.with_layers, d=switches.relu)),
    Hint(6, "random labels near 1 and 0 for D, and now and then a wrong one", "partly: 0.9 for real pictures",
         "followed: 0.7 to 1.2 for real pictures, one label in twenty flipped",
         partial(switches.with_losses, switches.noisy_labels)),
    Hint(7, "the networks of DCGAN; if none is stable, a mixture with a VAE or with a KL term", "yes",
         "left out: fully connected layers", partial(switches.with_layers, switches.connected_d, switches.connected_g)),
    Hint(8, "tricks from reinforcement learning: show D former fakes, bring back former copies of G and D", "no",
         "followed: at one step of D in four, its fakes are former ones", switches.replay),
    Hint(9, "Adam for G, SGD for D", "partly: Adam for both",
         "followed: SGD for D", switches.sgd_for_d),
    Hint(10, "look for failure early: D's loss at 0, gradients longer than 100, a loss of G that only falls",
         "partly: losses and faces, not gradients",
         "cannot be measured here because to watch a training does not change its faces"),
    Hint(11, "no schedule that trains D or G by what the losses are", "yes",
         "left out: D steps only while its loss is above 0.75, G while above 1",
         partial(switches.with_losses, bounds=(0.75, 1))),
    Hint(12, "where there are labels, D learns to tell the classes too", "no",
         "cannot be measured here because a folder of faces has no classes; biggan.py has them"),
    Hint(13, "noise on what D sees, which fades, and noise in the layers of G", "no",
         "followed: noise of 0.1, which falls to 0", switches.with_noise),
    Hint(14, "more steps of D than of G, above all where there is noise", "no",
         "followed: two steps of D for one of G", switches.twice),
    Hint(15, "D compares the pictures of a batch (more in improved.py)", "no",
         "followed: D sees how much a batch varies", partial(switches.with_layers, d=switches.with_spread)),
    Hint(16, "a class goes through a short embedding, and joins the picture as channels", "no",
         "cannot be measured here because a folder of faces has no classes; biggan.py has them"),
    Hint(17, "dropout of one half in G, in training and afterwards", "no",
         "followed: dropout behind the first three activations", partial(switches.with_layers, g=switches.dropout)),
)


# --- Measured ---------------------------------------------------------------------------------------------------------


def verdict(base, found):
    """Are the distances `found`, one for each seed, smaller or larger than all of base? Both lists of float."""
    if min(len(base), len(found)) < 2 or not all(map(math.isfinite, [*base, *found])):
        return ""
    return "better" if max(found) < min(base) else "worse" if min(found) > max(base) else "not told apart"


def table(hints, measured, floor):
    """Markdown: a row for each hint. measured: {number: what beside.distances gave for each seed}; floor: for real faces."""

    def row(hint, found):
        figures = ["; ".join(f"{one[name]:{beside.FORMATS[name]}}" for one in found) for name in MEASURES]
        verdicts = (verdict(*([one[name] for one in some] for some in (measured[0], found))) for name in MEASURES)
        said = filter(None, dict.fromkeys(verdicts))  # once, where both measures say the same
        return [str(hint.number), *hint[1:4], *figures, " / ".join(said if hint in hints else [])]

    rows = [row(hint, measured.get(hint.number, [])) for hint in (BASE, *hints)]
    real = row(Hint("", "", "", "real faces"), [floor])
    return beside.markdown(["", "hint", "in the notebook", "here", *MEASURES, "the faces are"], [real, *rows])


def measure(given):
    wrong = set(given.only or []) - {hint.number for hint in HINTS}
    if wrong:
        raise FaceError(f"--only {min(wrong)}: the hints have the numbers 1 to {len(HINTS)}.")
    hints = [hint for hint in HINTS if given.only is None or hint.number in given.only]
    data = beside.faces(given)
    floor, measured, shown = beside.distances(data.photographs[: len(data.reals)], data.reals), {}, {}
    for hint in (BASE, *hints):
        for seed in given.seeds if hint.system else ():
            name = f"{hint.number}, {hint.training}"
            one = beside.trained(name, seed, hint.system, data, given, folder=f"hint {hint.number}, seed {seed}")
            shown.setdefault(textwrap.fill(name, 36), one.faces[:24])
            measured.setdefault(hint.number, []).append(beside.distances(one.faces, data.reals))
            text = table(hints, measured, floor)
            print(f"\n{text}", flush=True)
    across = min(5, len(shown))
    figure = beside.sheet(2.2 * across, 1.9 * math.ceil(len(shown) / 5), dpi=100)
    return text, beside.panels(figure, shown, across, columns=6, fontsize=7)


if __name__ == "__main__":
    only = {"type": int, "nargs": "+", "metavar": "NUMBER", "help": "of the hints to train, 1 to 17 (default: all)"}
    beside.main("hints", __doc__, measure, images=8_000, options={"--only": only})
