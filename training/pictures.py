"""Pictures of a generator, as whole numbers and through all of a training."""

import torch
from torch.optim.swa_utils import update_bn

from training.device import fast_math, random_state_kept


def to_pixels(faces):
    """Turn faces (N, C, S, S) in [-1, 1] into whole numbers 0 to 255: uint8 (N, S, S, C), on the CPU."""
    pixels = faces.detach().float().cpu().add(1).mul(127.5).round().clamp(0, 255)
    return pixels.to(torch.uint8).permute(0, 2, 3, 1).numpy()


def generate(G, z):
    """Faces of a generator in evaluation mode, whatever mode it is in: float (N, 3, S, S) in [-1, 1], on the CPU."""
    mode = G.training
    G.eval()
    with torch.no_grad():
        faces = torch.cat([G(part) for part in z.split(256)]).float().cpu()
    G.train(mode)
    return faces


def settle_statistics(G_average, fixed_z):
    """Measure BatchNorm's running statistics anew for the averaged weights; those copied from G fit its latest ones.

    The z for it are made of fixed_z's own numbers, so that they suit any distribution. The random state is put back, so
    that training draws the same numbers with it and without. In fast_math, or it would take a twentieth of the training.
    """
    with random_state_kept(), fast_math(fixed_z.device):
        entries = torch.randint(fixed_z.numel(), (512, fixed_z.shape[1]), generator=torch.Generator().manual_seed(0))
        update_bn(fixed_z.flatten()[entries.to(fixed_z.device)].split(64), G_average)


class FixedFaces:
    """The faces of the same z whenever it is called: float (N, 3, S, S) in [-1, 1]. TrainingRun takes it as its `sample`.

    G: a generator, the averaged one as a rule; its BatchNorm statistics are settled first.
    z: float tensor (N, z_size). A checkpoint keeps it, and a run that goes on gets the z that it began with.
    """

    def __init__(self, G, z):
        self.G, self.z = G, z

    def __call__(self):
        settle_statistics(self.G, self.z)
        return generate(self.G, self.z)

    def state_dict(self):
        return {"z": self.z}

    def load_state_dict(self, state):
        self.z = state["z"].to(self.z.device)
