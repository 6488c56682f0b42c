"""The space of z of a trained generator, known only as the program in a generator.pt2: torch alone, for further/show.py.

Directions: Härkönen et al., 2020, GANSpace, https://arxiv.org/abs/2004.02546; Shen and Zhou, 2021, SeFa,
https://arxiv.org/abs/2007.06600. Finding a face: Zhu et al., 2016, https://arxiv.org/abs/1609.03552.

A program has no layer of a known name, so the directions are found from what goes in and what comes out. Least squares give
the matrix A that best foretells the picture from z, x = mean + z A; the left singular vectors of A are the directions in z
along which the picture changes most, the strongest first. GANSpace does the same with a layer's output in place of x. SeFa
takes the first layer's weights for A, which needs no pictures, but must know the layer.

Measured with one generator of the notebook's, trained on 2,000 drawn faces for 60,000 images. Directions, 256 z: 2 steps
along the first three change a pixel by 0.47, 0.43 and 0.40 (root mean square, of a range of 2); along SeFa's by 0.30, 0.33
and 0.35; along random ones by 0.09 to 0.16. A explains 69 % of how 1,024 other faces differ. Found faces, 32 of each kind,
in levels of 255: its own 6.0, drawn ones that it was trained on 15.3, others 15.9, photographs 19.5; unrelated faces of its
own are 64 apart. A search for four faces takes 6 seconds of one core, the directions 4.
"""

import logging
import math
import zipfile

import torch
import torch.nn.functional as F

from common import FaceError

LEVELS = 127.5  # from [-1, 1], what a generator gives, to levels of 255


class Program:
    """A generator out of a file.

    z_size: numbers in a z; size: pixels along a side; __call__: z (B, z_size) -> faces (B, 3, size, size) in [-1, 1].
    """

    def __init__(self, path):
        """Load path, a generator.pt2. Raises: FaceError, one line, if it is none.

        torch.export.load unpickles parts of the file: one that a stranger made can run any code here, as a pickle can.
        """
        remedy = "name a generator.pt2 that the notebook wrote."
        logging.disable(logging.CRITICAL)  # of a broken file torch logs pages
        try:
            with zipfile.ZipFile(path) as archive:
                if archive.testzip() is not None:  # torch does not compare the checksums
                    raise zipfile.BadZipFile
            program = torch.export.load(path)
        except OSError as error:
            raise FaceError(f"{path} cannot be read ({error.strerror}): {remedy}") from None
        except Exception as error:  # cut off, damaged, of another kind: a dozen types, and all mean the same here
            raise FaceError(f"{path} is damaged or no exported program ({type(error).__name__}): {remedy}") from None
        finally:
            logging.disable(logging.NOTSET)
        try:
            self._module = program.module()
            ((_, self.z_size),) = [node.meta["val"].shape for node in program.graph.nodes
                                   if node.name in program.graph_signature.user_inputs]
            *_, channels, self.size, width = self(torch.randn(2, self.z_size)).shape
            if (channels, width) != (3, self.size):
                raise ValueError
        except Exception:
            raise FaceError(f"{path} is a program, but no generator of faces, which takes z (B, z_size) and gives "
                            f"(B, 3, S, S): {remedy}") from None
        for weight in self._module.parameters():
            weight.requires_grad_(False)  # gradients are wanted for z alone

    def __call__(self, z):
        return self._module(z)


def faces_of(program, z):
    """Faces of any number of z without gradients: (B, z_size) -> (B, 3, S, S) in [-1, 1]."""
    with torch.no_grad():
        return torch.cat([program(part) for part in z.split(256)])


def difference(a, b):
    """How far the pixels of two faces are apart on average, in levels of 255: two (B, 3, S, S) in [-1, 1] -> (B,)."""
    return (a - b).abs().flatten(1).mean(1) * LEVELS


def directions(program, count=2048):
    """The directions of z along which the faces differ most, found from so many faces.

    Returns: (K, z_size), rows of length 1 at right angles, the strongest first; (K,), the share that each has of all
    change that is linear in z, 1 together.
    """
    generator = torch.Generator().manual_seed(0)  # the same directions whenever the page is opened
    z = torch.randn(count, program.z_size, generator=generator)
    faces = F.adaptive_avg_pool2d(faces_of(program, z), min(program.size, 32)).flatten(1)  # of large ones, small copies
    A = torch.linalg.lstsq(z, faces - faces.mean(0)).solution  # (z_size, pixels)
    found, strength, _ = torch.linalg.svd(A, full_matrices=False)
    return found.T, strength.square() / strength.square().sum()


def slerp(a, b, steps):
    """Walk from a to b, vectors (z_size,), along an arc in equal steps, as the notebook does: (steps, z_size)."""
    angle = torch.acos(F.cosine_similarity(a, b, dim=0).clamp(-1, 1))
    t = torch.linspace(0, 1, steps).view(-1, 1)
    if torch.sin(angle) < 1e-3:  # a face and itself: there is no arc
        return (1 - t) * a + t * b
    return (torch.sin((1 - t) * angle) * a + torch.sin(t * angle) * b) / torch.sin(angle)


def on_sphere(z):
    """z (B, z_size) at the length near which random ones almost all have theirs, sqrt(z_size); their direction stays."""
    return F.normalize(z, dim=1) * math.sqrt(z.shape[1])


def find(program, targets, starts=4, steps=120, every=10, rate=0.2):
    """Look for the z of given faces, by the gradient of the squared difference, beginning at the nearest of 512 random z.

    targets: (B, 3, S, S) in [-1, 1]; starts: how many z are moved for each, of which the best counts.
    Yields, every so many steps and at the end: the share of the steps done, z (B, z_size) of length sqrt(z_size), their
    faces (B, 3, S, S), and how far these are from the targets in levels of 255, (B,).
    """
    tried = on_sphere(torch.randn(512, program.z_size))
    nearest = torch.cdist(targets.flatten(1), faces_of(program, tried).flatten(1)).topk(starts, largest=False).indices
    z = tried[nearest.flatten()].requires_grad_()  # (B * starts, z_size)
    wanted = targets.repeat_interleave(starts, 0)
    optimizer = torch.optim.Adam([z], rate)
    for step in range(1, steps + 1):
        optimizer.param_groups[0]["lr"] = rate * (1 - (step - 1) / steps)  # smaller steps the nearer the end
        optimizer.zero_grad()
        (program(on_sphere(z)) - wanted).square().flatten(1).mean(1).sum().backward()
        optimizer.step()
        if step % every == 0 or step == steps:
            yield step / steps, *_best(program, on_sphere(z.detach()), wanted, starts)


def _best(program, z, wanted, starts):
    """Of each target's starts the one that is nearest to it: z, faces and differences as `find` yields them."""
    faces = faces_of(program, z)
    differences, best = difference(faces, wanted).view(-1, starts).min(1)
    best += torch.arange(len(best)) * starts
    return z[best], faces[best], differences
