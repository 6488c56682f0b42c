"""Speed and quality, side by side. Each file runs as a module, as in python -m benchmarks.quality, and prints one table.

quality.py      how good are the faces?
gap.py          what is their distance from photographs made of?
recipes.py      which recipe makes the better ones? others.py holds the networks that are compared with the notebook's,
                architectures.py other networks for its loop, each from a paper
averages.py     over how long should G be averaged?
labels.py       do labels make better faces?
warm_start.py   does a training begin better with small pictures?
race.py         how soon are the faces good? seconds against distance
throughput.py   how fast does it train?
step.py         where does the time of a training step go?
scaling.py      what would many processes give? reckoned
data.py         what do the pictures cost, in seconds and in memory?
further.py      the tables and pictures of further/README.md, made anew
ingredients.py  the plot of the single ingredients, from the tables of README.md
"""
