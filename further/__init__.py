"""Beyond the notebook: what a GAN course points to, one short file each, and what they share. README.md is the map.

stability.py    which trainings come to rest, and the penalty R1
arithmetic.py   sizes of convolutions, and checkerboards
pixel_art.py    sprites in the data's own colours
many.py         several GPUs, several machines
best.py         a recipe for long trainings: augmented pictures for D, a learning rate that falls
losses.py       other losses: hinge, relativistic
layers.py       other layers: spectral normalisation, shortcuts

course.py       gives the notebook's cells to these files and to benchmarks/, and trains with them
beside.py       a system beside the notebook's recipe at equal seconds: its table and its picture
"""
