"""Speed and quality, side by side. Each file runs as a module, as in python -m benchmarks.quality, and prints one table.

quality.py      how good are the faces?
recipes.py      which recipe makes the better ones? others.py holds the networks that are compared with the notebook's
throughput.py   how fast does it train?
data.py         what do the pictures cost, in seconds and in memory?
plots.py        the plots of README.md, which keeps the tables
"""
