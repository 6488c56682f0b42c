"""The two plots of benchmarks/README.md, drawn from its own tables: assets/distance.png and assets/ingredients.png.

    python -m benchmarks.plots
"""

from pathlib import Path

from matplotlib.figure import Figure

README = Path(__file__).resolve().parent / "README.md"
ASSETS = README.parents[1] / "assets"
COLUMN = "Fréchet, face embedding"
LINES = ("tutorial", "learners", "batch_64", "rate_0002", "default", "best")  # of the first plot, as its legend has them


def tables(text):
    """Return the tables of a Markdown text that have the column of the distance, each with the image count of its rows.

    Returns: list of (images, {name of the row: distance}); a row `name: in words` is called `name`, the count is the
    heading of the first column, `65,538 images each`.
    """
    found = []
    for block in text.split("\n\n"):
        rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in block.splitlines() if line.startswith("|")]
        if rows and COLUMN in rows[0] and rows[0][0].endswith(" images each") and rows[0][0][0].isdigit():
            at = rows[0].index(COLUMN)
            distances = {row[0].split(":")[0]: float(row[at].split(" ± ")[0]) for row in rows[2:]}
            found.append((rows[0][0].removesuffix(" images each"), distances))
    return found


def by_length(text):
    """Return {images: {name of the row: distance}}: the tables of one length together. 64 x 64 stays apart."""
    lengths = {}
    for images, distances in tables(text):
        if images.replace(",", "").isdigit():
            lengths.setdefault(int(images.replace(",", "")), {}).update(distances)
    return lengths


def distance_plot(lengths):
    """Images seen against distance, one line for each of LINES, both axes logarithmic."""
    figure = Figure(figsize=(8, 4), dpi=110, layout="constrained")
    axis = figure.subplots()
    for name in LINES:
        points = [(images, rows[name]) for images, rows in sorted(lengths.items()) if name in rows]
        axis.plot(*zip(*points, strict=True), marker="o", label=name)
    axis.axhline(max(rows.get("photographs", 0) for rows in lengths.values()), color="grey", label="photographs")
    axis.set(xscale="log", yscale="log", xlabel="images seen", ylabel="Fréchet distance, less is better")
    axis.set_xticks(sorted(lengths), [f"{images:,}" for images in sorted(lengths)])
    axis.set_xticks([], minor=True)
    axis.set_yticks([0.005, 0.01, 0.02, 0.05, 0.1], ["0.005", "0.01", "0.02", "0.05", "0.1"])
    axis.set_yticks([], minor=True)
    figure.legend(loc="outside right center")
    return figure


def ingredients_plot(rows):
    """A dot for the distance of each row of the shortest trainings, the best on top."""
    names = sorted(rows, key=rows.get, reverse=True)
    figure = Figure(figsize=(7, 0.22 * len(names) + 0.8), dpi=110, layout="constrained")
    axis = figure.subplots()
    axis.hlines(range(len(names)), 0, [rows[name] for name in names], color="lightgrey")
    axis.plot([rows[name] for name in names], range(len(names)), "o")
    axis.set_yticks(range(len(names)), names)
    axis.set(xlim=(0, None), ylim=(-0.7, len(names) - 0.3), xlabel="Fréchet distance, less is better")
    return figure


def main():
    lengths = by_length(README.read_text(encoding="utf-8"))
    for name, figure in (("distance", distance_plot(lengths)), ("ingredients", ingredients_plot(lengths[min(lengths)]))):
        figure.savefig(ASSETS / f"{name}.png")
        print(ASSETS / f"{name}.png")


if __name__ == "__main__":
    main()
