"""A training that shows itself and survives.

run.py          TrainingRun: the loops, the counts, the losses
checkpoints.py  what a run keeps, and going on from it
figure.py       what a run shows, and the film of it
trouble.py      the usual ways in which a GAN goes wrong
pictures.py     pictures of a generator, as it is or averaged
device.py       the device, the precision, the random numbers
export.py       the generator as a file of its own
"""
