"""Pack a trained generator as a folder that runs on a model hub as it is: the generator, its card, and a page that shows it.

    python -m further.share [results/NAME] [--out FOLDER] [--onnx]

The folder runs as a Space of the Hugging Face Hub, and here with `python app.py`; the page is that of further/show.py. Its
README.md is the model card with the lines that a Space needs at its head. --onnx adds generator.onnx, for runtimes
without PyTorch. Nothing is uploaded: the commands that would do it are printed.

In the folder are only the files named here: no picture of the data, and no word of where it was made. generator.pt2 is
written anew for that, without PyTorch's notes of where the code lay.
"""

import argparse
import os
import re
import shutil
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import torch

from common import FaceError
from further.latent import Program
from training.card import FILL_IN
from training.export import OPSET, export_onnx, save_program

ROOT = Path(__file__).resolve().parent.parent
CODE = ("common.py", "faces/pictures.py", "further/latent.py", "further/show.py")  # the page, and what it imports of ours
PACKAGES = ("gradio", "ipython", "numpy", "pillow", "torch", "tqdm")  # what that code imports
RUN = "jupyter execute --inplace face_generation.ipynb"
SPACE = {"title": "Generated faces", "emoji": "\N{GRINNING FACE}", "colorFrom": "yellow", "colorTo": "gray", "sdk": "gradio",
         "app_file": "app.py"}
APP = '''"""The page that shows what generator.pt2 makes: on a Space of the Hugging Face Hub as it is, or `python app.py`."""

import sys
from pathlib import Path

sys.dont_write_bytecode = True  # compiled files would say where this folder lies, and be uploaded with it

from further.latent import Program  # noqa: E402
from further.show import LAUNCH, page  # noqa: E402

generator, film = Path(__file__).with_name("generator.pt2"), Path(__file__).with_name("training.gif")
blocks = page(Program(generator), film if film.exists() else None)
blocks.launch(**LAUNCH | {"server_name": None, "quiet": False})  # None: loopback here, the outside on a Space
'''
ONNX = f"""
## Without PyTorch

`generator.onnx` is the same generator for ONNX Runtime and others that know opset {OPSET}: `z` goes in, as float32, and
`faces` come out, in [-1, 1], of the same sizes as above.
"""


def pack(results, folder, onnx=False):
    """Fill a folder that runs on a model hub as it is.

    results: folder with generator.pt2, README.md (the card) and, perhaps, training.gif; folder: the new one, not there yet
    or empty; onnx: whether generator.onnx shall be in it.
    Returns: list of str, the names of the files in it.
    Raises: FaceError, with one line, if a file is missing or no generator, if the folder holds something, and as
        export_onnx does; then it is as it was.
    """
    results, folder = Path(results), Path(folder)
    if not (results / "generator.pt2").is_file():
        raise FaceError(f"{results} holds no generator.pt2: train one, {RUN}")
    if not (results / "README.md").is_file():
        raise FaceError(f"{results} holds no README.md, the model card: run the last cell of the notebook's section 17, or "
                        f"all of it, {RUN}")
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise FaceError(f"{folder} is there already: remove it, or name another folder with --out.")
    Program(results / "generator.pt2")  # refuses what is none
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".share-") as scratch:
        new = Path(scratch) / "new"
        new.mkdir()
        save_program(torch.export.load(results / "generator.pt2"), new / "generator.pt2")
        card = for_space(_text(results / "README.md"))
        if onnx:
            export_onnx(new / "generator.pt2", new)
            card += ONNX
        if (results / "training.gif").is_file():
            shutil.copyfile(results / "training.gif", new / "training.gif")
        requirements = "".join(f"{name}>={_release(name)}\n" for name in PACKAGES)
        for name, text in {"README.md": card, "app.py": APP, "requirements.txt": requirements}.items():
            (new / name).write_text(text, encoding="utf-8", newline="\n")
        for room in ("faces", "further"):
            (new / room).mkdir()
            (new / room / "__init__.py").touch()
        for name in CODE:
            shutil.copyfile(ROOT / name, new / name)
        shutil.copyfile(ROOT / "LICENSE", new / "LICENSE-of-the-code")
        if folder.exists():
            folder.rmdir()
        os.replace(new, folder)
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def for_space(card):
    """The card with the lines at its head that make a Space of a folder, where they are not there already."""
    python = f'"{sys.version_info.major}.{sys.version_info.minor}"'  # with quotes: 3.10 is no number
    head, body = re.fullmatch(r"(?s)(?:---\n(.*?)(?<=\n)---\n)?(.*)", card).groups("")
    wanted = SPACE | {"sdk_version": _release("gradio"), "python_version": python}
    missing = [f"{key}: {value}\n" for key, value in wanted.items() if not re.search(rf"^{key}:", head, re.M)]
    return f"---\n{''.join(missing)}{head}---\n{body}"


def _text(path):
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise FaceError(f"{path} is not text in UTF-8: save it as UTF-8.") from None


def _release(package):
    """The release of a package that is installed, without what belongs to this machine alone: 2.14.1 of 2.14.1+cu130."""
    return version(package).partition("+")[0]


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m further.share",
                                     description="Pack a trained generator as a folder that runs on a model hub.")
    parser.add_argument("results", nargs="?", type=Path, help="folder of generator.pt2; as it is, of the newest in results/")
    parser.add_argument("--out", type=Path, help="the folder to make; as it is, share in that folder")
    parser.add_argument("--onnx", action="store_true", help="put generator.onnx into it too")
    given = parser.parse_args(arguments)
    try:
        from further.show import newest  # imported here, because gradio may not be installed

        results = given.results or newest()
        results = results.parent if results.is_file() else results
        folder = given.out or results / "share"
        names = pack(results, folder, given.onnx)
    except ModuleNotFoundError as error:
        sys.exit(f"further.share: the page needs {error.name}: pip install {error.name}")
    except FaceError as error:
        sys.exit(f"further.share: {error}")
    except OSError as error:
        sys.exit(f"further.share: {error.filename} cannot be read or written ({error.strerror})")
    print(f"{folder} holds {', '.join(names)}.\nTry it: python {folder / 'app.py'}")
    if re.search(rf"# fill in|{re.escape(FILL_IN)}", _text(folder / "README.md")):
        print(f"Before you publish it, fill in what {results / 'README.md'} does not say (look there for \"fill in\"), "
              f"remove {folder}, and pack it again.")
    print(f"""Nothing was uploaded. These two lines do it, after `pip install huggingface_hub` and `hf auth login`, with your
own name for NAME; what they make is private until you say otherwise there:
    hf upload NAME/faces {folder} . --repo-type space --private    # the page
    hf upload NAME/face-generator {folder} . --private             # the generator with its card""")


if __name__ == "__main__":
    main()
