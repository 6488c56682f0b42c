"""Beyond the notebook: what a GAN course points to, one short file each, and what they share. README.md is the map.

digits.py       MNIST first, and what mirror images do to it
hints.py        seventeen hints, each switched alone
improved.py     five techniques against collapse, and modes that can be counted
wasserstein.py  WGAN and WGAN-GP: a loss that follows the distance
stability.py    which trainings come to rest, and the penalty R1
progressive.py  growing from 4 x 4
biggan.py       classes, self-attention, the truncation trick
stylegan.py     styles: a mapping network, modulated convolutions, mixing
discogan.py     two domains without pairs; CycleGAN beside it
arithmetic.py   sizes of convolutions, and checkerboards
pixel_art.py    sprites in the data's own colours
many.py         several GPUs, several machines
best.py         a recipe for long trainings: z at every layer, a rate that falls, augmented pictures
losses.py       other losses: hinge, relativistic
layers.py       other layers: spectral normalisation, shortcuts, BatchNorm with a condition
show.py         a page in the browser that shows what a generator makes; latent.py: what it asks of it

share.py        a trained generator, its card and a page of it as a folder that runs on a model hub

course.py       gives the notebook's cells to these files and to benchmarks/, and trains with them
stacked.py      three digits in one picture: 1,000 modes for improved.py to count
classes.py      faces of classes for biggan.py, and a judge that tells them apart
beside.py       a system beside the notebook's recipe at equal seconds: its table and its picture
"""
