"""The plot of the single ingredients, drawn from the tables of benchmarks/README.md: assets/ingredients.png.

    python -m benchmarks.ingredients
"""

from pathlib import Path

from matplotlib.figure import Figure

README = Path(__file__).resolve().parent / "README.md"
PICTURE = README.parents[1] / "assets" / "ingredients.png"
COLUMN = "Fréchet, face embedding"
LENGTH = "65,538 images each"  # heading of the first column of the tables whose rows it shows


def tables(text):
    """Return the tables of a Markdown text that have the column of the distance: list of (heading of the first column,
    {name of the row: distance}); a row `name: in words` is called `name`.
    """
    found = []
    for block in text.split("\n\n"):
        rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in block.splitlines() if line.startswith("|")]
        if rows and COLUMN in rows[0] and rows[0][0].endswith(" images each") and rows[0][0][0].isdigit():
            at = rows[0].index(COLUMN)
            found.append((rows[0][0], {row[0].split(":")[0]: float(row[at].split(" ± ")[0]) for row in rows[2:]}))
    return found


def plot(rows):
    """A dot for the distance of each row, {name: distance}, the best on top."""
    names = sorted(rows, key=rows.get, reverse=True)
    figure = Figure(figsize=(7, 0.22 * len(names) + 0.8), dpi=110, layout="constrained")
    axis = figure.subplots()
    axis.hlines(range(len(names)), 0, [rows[name] for name in names], color="lightgrey")
    axis.plot([rows[name] for name in names], range(len(names)), "o")
    axis.set_yticks(range(len(names)), names)
    axis.set(xlim=(0, None), ylim=(-0.7, len(names) - 0.3), xlabel="Fréchet distance, less is better")
    return figure


def main():
    rows = {}
    for heading, distances in tables(README.read_text(encoding="utf-8")):
        rows = (distances if heading == LENGTH else {}) | rows  # of two trainings, the one that stands first
    plot(rows).savefig(PICTURE)
    print(PICTURE)


if __name__ == "__main__":
    main()
