"""Beyond the notebook: what its readers come to next, each file small enough to be read beside its paper.

course.py   gives the notebook's cells to these files and to benchmarks/, and trains with them
best.py     a recipe for long trainings: augmented pictures for D, a learning rate that falls
losses.py   other losses: hinge, relativistic, R1
layers.py   other layers: spectral normalisation, shortcuts
many.py     training on several GPUs
"""
