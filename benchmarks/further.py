"""The map made anew: each command that further/README.md names as a table's is run, and its table and picture put there.

    python -m benchmarks.further PHOTOGRAPHS --folder KEPT                       all: a night
    python -m benchmarks.further PHOTOGRAPHS stability wasserstein --folder KEPT

Above a table in further/README.md stands: Measured with `python -m further.NAME ...`: and the lines of the table below are
those that this command printed; PHOTOGRAPHS in it is the folder given here. The picture is assets/NAME.png.

Every training is kept in KEPT/NAME: after a stop the same command goes on there, and what is done is only judged anew. Once
the notebook's recipe has changed, give another folder. What the map says in words of the numbers is to be read again.
"""

import argparse
import re
import shutil
import subprocess
import sys
from pathlib import Path

from common import FaceError
from further import beside

ROOT = Path(__file__).resolve().parent.parent
README, ASSETS = ROOT / "further" / "README.md", ROOT / "assets"
MEASURED = re.compile(r"^Measured with `python -m further\.(\w+)(.*)`:\n\n((?:\|.*\n|\n(?=\|))*)", re.M)


def commands(text):
    """What the map's tables were measured with: {system: what follows `python -m further.NAME`, list of str}."""
    return {name: arguments.split() for name, arguments, _ in MEASURED.findall(text)}


def with_table(text, system, table):
    """The map's text with `table`, Markdown, in the place of what stands below the system's command."""

    def put(found):
        below = f"{table.strip()}\n" if found[1] == system else found[3]
        return found[0][: found.start(3) - found.start()] + below

    return MEASURED.sub(put, text)


def run(system, arguments):
    """Run `python -m further.SYSTEM` with these arguments, its progress shown. Raises FaceError if it fails."""
    print(f"\n=== {system}: {' '.join(arguments)}", flush=True)
    if subprocess.call([sys.executable, "-m", f"further.{system}", *arguments]):
        raise FaceError(f"further.{system} ended with the error above; what it had trained is kept.")


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m benchmarks.further", description=__doc__.splitlines()[0])
    parser.add_argument("photographs", help="folder of folders of pictures, as ImageFolder reads it")
    parser.add_argument("systems", nargs="*", help="which of the map (default: all)")
    parser.add_argument("--folder", required=True, help="keep each training here, and go on with what is kept")
    given = parser.parse_intermixed_args(arguments)
    wanted = commands(README.read_text(encoding="utf-8"))
    unknown = set(given.systems) - set(wanted)
    if unknown:
        parser.error(f"the map has no table of {', '.join(sorted(unknown))}; it has {', '.join(wanted)}")
    for system in given.systems or wanted:
        words = [given.photographs if word == "PHOTOGRAPHS" else word for word in wanted[system]]
        try:
            run(system, [*words, "--folder", str(Path(given.folder, system))])
        except FaceError as error:
            sys.exit(f"further.py: {error}")
        table = (beside.RESULTS / f"{system}.md").read_text(encoding="utf-8")
        README.write_text(with_table(README.read_text(encoding="utf-8"), system, table), encoding="utf-8")
        shutil.copyfile(beside.RESULTS / f"{system}.png", ASSETS / f"{system}.png")


if __name__ == "__main__":
    main()
