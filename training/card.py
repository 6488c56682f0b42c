"""The model card: what lies beside a trained generator so that a stranger knows what it is, README.md in its folder."""

import re
from pathlib import Path

import torch

from common import FaceError, write_beside

BEGIN = "<!-- measured: begin. The notebook writes what stands between this line and the next of its kind anew. -->"
END = "<!-- measured: end -->"
FILL_IN = "**Not said: fill in.**"

CARD = """---
license: {license}
library_name: pytorch
pipeline_tag: unconditional-image-generation
tags:
- gan
- dcgan
- image-generation
- faces
---

# A generator of faces

It makes pictures of faces that nobody has, from random numbers. It is the generator of a DCGAN
([Radford et al., 2016](https://arxiv.org/abs/1511.06434)), trained in a guided notebook that teaches how such networks work.

## Data and licence

{data}

{measured}

## Intended use

To learn and to teach how a generative adversarial network works, and to try out what can be done with one.

Not for passing its faces off as photographs of people, for accounts of people who do not exist, or for training and judging
anything that decides about people.

## Limits

- It knows only what its data held. What is rare there is rarer here, and what is missing there cannot be made.
- The pictures are small, and no face has a name, an age or a wish: nothing about it can be asked for but another z.
- Two sides of a face may not belong together, eyes may look in two directions, glasses may be half there.
- The measures compare with the data it was trained on. They do not say how people would judge the faces.
- That few or none of the faces counted were copies does not say that it makes none.
"""

DRAWN = """The pictures it was trained on were drawn by a program, `faces.draw`, out of random numbers. No photograph and no
person is among them. Program and drawings are under the MIT licence, and so is this generator."""

PHOTOGRAPHS = f"""{FILL_IN} Which photographs these were, who took them, and under which licence; whether the people on
them agreed; and which licence the generator has for that (the line `license` at the top of this file says it to machines).
One that was trained on photographs for non-commercial research, as those of CelebA are, is for such research alone."""

MEASURED = """{begin}

## How to load it

With PyTorch {torch} or newer and torchvision, in the folder of `generator.pt2`:

```python
import torch
from torchvision.utils import save_image

generator = torch.export.load("generator.pt2").module()
z = torch.randn(16, {z_size})
faces = (generator(z).detach() + 1) / 2  # 16 x 3 x {size} x {size}, in [0, 1]
save_image(faces, "faces.png", nrow=8)
```

Load such files only from people whom you trust, as you would run a program of theirs.
{film}
## Recipe

| | |
|---|---|
{recipe}

The eight digits behind the number of pictures stand for the pictures: the same ones have the same digits.

## Measures

{faces:,} faces of each kind. The first row is what real pictures score against other real ones: read the second beside it.

| | sliced Wasserstein distance | MS-SSIM of pairs | memorised |
|---|---|---|---|
{measures}

- *Sliced Wasserstein distance*: how far small patches are from those of real pictures. Less is better.
- *MS-SSIM of pairs*: how alike two faces are. More than in the first row says that variety was lost.
- *Memorised*: the share of faces that are closer to a picture of the data than 99 % of real pictures are to each other.

## Known biases

{biases}

{end}"""

COUNTED = """A small classifier was trained to see traits that are known of the training pictures, and looked at real ones
that it had not seen and at generated ones. A trait that it sees less often in generated faces is one that the generator
drops. Where it is right about half of the time it guesses, and the row says nothing.

| | in the data | seen in real faces | seen in generated faces | classifier right |
|---|---|---|---|---|
{rows}

Age, sex, skin and whatever else was not counted may be out of proportion too."""

UNKNOWN = """Not known: of photographs nobody wrote down who is young or old, light or dark, or wears glasses, so it could
not be counted. Take it that the generator makes the majority of its data more often than the data holds it, and the rest
less often."""


def write_card(folder, run, generated, measures, traits, z_size, **more):
    """Write README.md beside a generator, in the format of the Hugging Face Hub, and say where it is.

    Where the file is there already, only what stands between its two "measured" lines is written anew: what a person
    filled in or changed elsewhere stays.

    Args:
        folder: that of the results, with generator.pt2; run: the TrainingRun, done.
        generated: the faces that were measured, (N, 3, S, S).
        measures: {name of the row: (sliced Wasserstein distance, MS-SSIM, memorised share)}, real pictures first.
        traits: {name: measures.traits.Count} if this project drew the faces it was trained on, {} if not.
        z_size: int; more: what else belongs to the recipe, name and value.
    Returns: str, the path of the card.
    Raises: FaceError, with one line, if README.md is there and lacks the two lines or is no text.
    """
    path = Path(folder) / "README.md"
    measured = _measured(Path(folder), run, generated, measures, traits, {"z_size": z_size, **more})
    if path.exists():
        try:
            before, begin, rest = path.read_text(encoding="utf-8").partition(BEGIN)
        except UnicodeDecodeError:
            raise FaceError(f"{path} is not text in UTF-8, so it is left as it is: save it as UTF-8, or move it away to "
                            "have a new one written.") from None
        _, end, after = rest.partition(END)
        if not (begin and end):
            raise FaceError(f"{path} lacks the lines {BEGIN!r} and {END!r}, so it is left as it is: put them where the "
                            "figures shall stand, or move the file away to have a new one written.")
        text = before + measured + after
    else:
        given = {"license": "mit", "data": DRAWN} if traits else {"license": "unknown  # fill in", "data": PHOTOGRAPHS}
        text = CARD.format(measured=measured, **given)
    write_beside(path, lambda file: file.write(text.encode("utf-8")))
    return str(path)


def _measured(folder, run, generated, measures, traits, more):
    """The part of the card that the figures make up, with its first and last line."""
    device = next(run.parts["G"].parameters()).device
    named = torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)
    recipe = {name: value for name, value in run.settings.items() if name not in run.parts} | more
    recipe |= {"images seen": f"{run.images:,}", "seconds of training": f"{run.seconds:,.0f}", "device": named,
               "PyTorch": torch.__version__}
    shares = [[f"{value:.1%}" for value in (count.data, count.real, count.generated)] + [f"{count.right:.0%}"]
              for count in traits.values()]
    scores = [[f"{distance:.1f}", f"{alike:.3f}", f"{memorised:.3f}"] for distance, alike, memorised in measures.values()]
    film = "\n![The training as a film](training.gif)\n" if (folder / "training.gif").exists() else ""
    return MEASURED.format(
        begin=BEGIN, end=END, film=film, faces=len(generated), z_size=more["z_size"], size=generated.shape[-1],
        torch=re.match(r"\d+\.\d+", torch.__version__)[0], recipe=_rows(recipe, [[str(value)] for value in recipe.values()]),
        measures=_rows(measures, scores), biases=COUNTED.format(rows=_rows(traits, shares)) if traits else UNKNOWN)


def _rows(names, cells):
    """Lines of a Markdown table."""
    return "\n".join("| " + " | ".join([str(name), *row]) + " |" for name, row in zip(names, cells, strict=True))
