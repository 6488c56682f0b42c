"""Beyond the notebook: what a GAN course points to, one short file each, and what they share. README.md is the map.

Run alone, each the companion of a paper:

digits.py       MNIST first, and what mirror images do to it
hints.py        seventeen hints, each switched alone; switches.py: how
improved.py     five techniques against collapse; stacked.py: 1,000 modes that can be counted
wasserstein.py  WGAN and WGAN-GP: a loss that follows the distance; follows.py: does it?
stability.py    the penalty R1; dirac.py: which trainings come to rest
progressive.py  growing from 4 x 4; growing.py: the networks that grow
biggan.py       self-attention, the truncation trick; classes.py: faces of classes, and a judge of them
stylegan.py     styles: a mapping network, modulated convolutions, mixing
discogan.py     two domains without pairs, CycleGAN beside it; domains.py: the domains, and what a translation is worth
arithmetic.py   checkerboards; convolutions.py: the sizes of convolutions, sixteen cases
pixel_art.py    sprites in the data's own colours
many.py         several GPUs, several machines; together.py: what their processes send each other

Used from the notebook:

best.py         a recipe for long trainings: z at every layer, a rate that falls, augmented pictures
fast.py         the notebook's steps as CUDA graphs, for an NVIDIA GPU
losses.py       other losses: hinge, relativistic
layers.py       other layers: spectral normalisation, shortcuts, BatchNorm with a condition
show.py         a page in the browser that shows what a generator makes; latent.py: what it asks of it
share.py        a trained generator, its card and a page of it as a folder that runs on a model hub

Shared by all:

course.py       gives the notebook's cells to these files and to benchmarks/, and trains with them
beside.py       a system beside the notebook's recipe at equal seconds: its table and its picture
"""
