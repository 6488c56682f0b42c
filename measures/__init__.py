"""How good are the faces? Measures of generated faces against photographs, one file for each question.

needs.py        what measures ask for: pictures of the right kind, packages and weights
patches.py      sliced Wasserstein distance: do small patches have the texture of photographs, at every scale?
variety.py      MS-SSIM of random pairs: do the faces differ from each other?
copies.py       nearest photographs, and the share of faces that are copies of one
traits.py       how often are glasses, say, seen among the faces?
embedding.py    Fréchet and kernel distances in the features of a network: dlib's face embedding, Inception
detect.py       in how many does a detector find a face?
paths.py        perceptual path length: how much changes on the way from one latent vector to another?
translation.py  do brightness and place go along where pictures are made of pictures?

Those in patches.py, variety.py and copies.py take float images in [0, 1], those in embedding.py, detect.py and
translation.py uint8.
"""
