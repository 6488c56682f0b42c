"""Beyond the notebook: the systems that a GAN course points to, one short file each, and what they share.

course.py   gives the notebook's cells to these files and to benchmarks/, and trains with them
beside.py   a system beside the notebook's recipe at equal seconds: its table and its picture
best.py     a recipe for long trainings: augmented pictures for D, a learning rate that falls
losses.py   other losses: hinge, relativistic
layers.py   other layers: spectral normalisation, shortcuts
many.py     training on several GPUs

stability.py    which trainings come to rest, and the penalty R1
arithmetic.py   sizes of convolutions, and checkerboards
"""
