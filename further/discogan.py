"""Learning to discover cross-domain relations with GANs: DiscoGAN. Kim, Cha, Kim, Lee and Kim, 2017.

https://arxiv.org/abs/1703.05192; beside it CycleGAN, Zhu, Park, Isola and Efros, 2017: https://arxiv.org/abs/1703.10593

    python -m further.discogan                          faces, and other faces whose red and blue are exchanged
    python -m further.discogan --other FOLDER           drawn faces, and the photographs in FOLDER
    python -m further.discogan FOLDER --other ANOTHER   the pictures of any two folders

The idea: turn a picture of one domain, A, into one of another, B, without a single pair to learn from. A GAN alone may
answer every input with any picture that looks like B. So a second generator leads back from B to A, and what comes back
must be the picture that went in: then the output has to keep what distinguishes the input. Both directions are trained
at once, with a discriminator for each domain.

What differs from the notebook: two generators that begin with a picture, the layers of D without its answer and then
those of G behind its first; two discriminators; their losses. Pictures are not mirrored: were they, a generator that
mirrors what it translates would be as right as one that does not. CycleGAN here is the same networks with its losses,
its buffer and its identity loss; the paper's has residual generators, InstanceNorm, and a D that answers by patches. Traps:
- Picture k of a batch from A has nothing to do with picture k of the batch from B. Some copies on the web compare the
  translation of the one with the other. Here what went round is compared.
- The reconstruction makes the translation one to one. It does not say which one: bright faces may become dark ones.
- DiscoGAN's formulas add both losses as they are; its authors' code weighs them, compares features of D as well, and
  moves D at every third step, where G rests.
- CycleGAN halves D's loss, to slow D down. Adam divides by the size of the gradient, so that this would change nothing.
- BatchNorm's running statistics, of real and generated pictures in turn, fit neither: they are taken anew over real ones.

Measured on photographs, two seeds, 80 seconds, from A to B: brightness keeps a correlation of 0.93 twice (DiscoGAN), of 1.00
(CycleGAN), of 0.00 and 0.07 with a GAN alone. README.md has the tables.
"""

import math
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional as F
from torch.optim.swa_utils import update_bn

import helper
from further import beside, course
from further.domains import HEADINGS, batches, domains, numbers, rounds

CONV_DIM = 32  # channels, half of the notebook's: a step passes pictures through the generators four times
SHOWN = 8  # pictures in a row of the figure

# --- DiscoGAN, section 2, with its numbers; CycleGAN, sections 3 to 5 -------------------------------------------------


class Variant(NamedTuple):
    """What is minimised. adversarial: function of D's answers and a target; distance: d of (3); former: buffer size."""

    adversarial: object
    distance: object
    weight: float  # of the reconstruction
    identity: float = 0.0
    former: int = 0


DISCOGAN = Variant(F.binary_cross_entropy_with_logits, F.mse_loss, weight=1)
CYCLEGAN = Variant(F.mse_loss, F.l1_loss, weight=10, identity=0.5 * 10, former=50)
VARIANTS = {"DiscoGAN": DISCOGAN, "CycleGAN": CYCLEGAN, "GAN alone": DISCOGAN._replace(weight=0)}


def translator(own):
    """A generator from picture to picture, (B, 3, S, S) in [-1, 1] both: the notebook's D, then its G."""
    D, G = own.build_network(own.g_conv_dim, own.g_conv_dim, own.z_size, own.image_size)
    return nn.Sequential(*D.layers[:-2], *G.layers[3:])  # 128 x 4 x 4 in the middle


class Former(nn.Module):
    """A buffer of former generated pictures, so that D does not forget what G made (Shrivastava et al., 2017).

    It is a module so that checkpoints keep what is in it.
    """

    def __init__(self, size, image_size):
        super().__init__()
        self.register_buffer("kept", torch.zeros(size, 3, image_size, image_size))
        self.register_buffer("count", torch.zeros((), dtype=torch.long))

    def forward(self, pictures):
        """Take new pictures (B, 3, S, S) and give as many: the new ones until the buffer is full; then each stays in it
        with probability 1/2, and the one whose place it takes is given.
        """
        given, size = pictures.float().clone(), len(self.kept)
        filled = int(self.count)
        room = min(size - filled, len(given))
        self.kept[filled:filled + room] = given[:room]
        self.count += room
        chosen = room + torch.nonzero(torch.rand(len(given) - room) < 0.5)[:size, 0]
        places = torch.randperm(size)[: len(chosen)]
        former = self.kept[places]
        self.kept[places] = given[chosen]
        given[chosen] = former
        return given


def d_loss(variant, D, real, fake):
    """(6): L_D_B = -E[log D_B(x_B)] - E[log(1 - D_B(G_AB(x_A)))]; in CycleGAN (D(x) - 1)^2 and D(G(x))^2."""
    real_out, fake_out = D(real), D(fake)
    return (variant.adversarial(real_out, torch.ones_like(real_out))
            + variant.adversarial(fake_out, torch.zeros_like(fake_out)))


def g_loss(variant, D_B, G_BA, x_A, x_AB):
    """The generators' loss for the way from A, (5): L_G_AB = L_GAN_B + L_CONST_A. x_AB: G_AB(x_A), with its graph.

    Called with A and B exchanged, it is the one for the way from B.
    """
    D_out = D_B(x_AB)
    loss = variant.adversarial(D_out, torch.ones_like(D_out))  # (4): L_GAN_B = -E[log D_B(G_AB(x_A))]
    if variant.weight:  # (3): L_CONST_A = d(G_BA(G_AB(x_A)), x_A)
        loss = loss + variant.weight * variant.distance(G_BA(x_AB), x_A)
    if variant.identity:  # CycleGAN, section 5.2: what is in A already stays as it is
        loss = loss + variant.identity * variant.distance(G_BA(x_A), x_A)
    return loss


def step(variant, parts, x_A, x_B):
    """Move both discriminators, then both generators, (8) and (7). x_A, x_B: (B, 3, S, S) in [-1, 1], no pairs.

    parts: dict of networks, optimizers and buffers, as `system` makes it. Returns: {"d_loss": ..., "g_loss": ...}.
    """
    G_AB, G_BA, D_A, D_B = (parts[name] for name in ("G_AB", "G_BA", "D_A", "D_B"))
    x_AB, x_BA = G_AB(x_A), G_BA(x_B)  # (1)
    of_d = (d_loss(variant, D_A, x_A, parts["former_A"](x_BA.detach()))
            + d_loss(variant, D_B, x_B, parts["former_B"](x_AB.detach())))
    move(of_d, parts["d_optimizer"], D_A, D_B)
    of_g = g_loss(variant, D_B, G_BA, x_A, x_AB) + g_loss(variant, D_A, G_AB, x_B, x_BA)
    move(of_g, parts["g_optimizer"], G_AB, G_BA)
    return {"d_loss": of_d.detach(), "g_loss": of_g.detach()}


def move(loss, optimizer, *networks):
    """One step of these networks, without gradients for any other."""
    optimizer.zero_grad()
    loss.backward(inputs=[weight for network in networks for weight in network.parameters()])
    optimizer.step()


def system(variant, others):
    """The System of a Variant. others: those of B to train on, uint8 (N, 3, S, S); those of A come from the loader."""
    own = course.set_up(d_conv_dim=CONV_DIM, g_conv_dim=CONV_DIM)
    parts = {"G_AB": translator(own), "G_BA": translator(own)}
    for name in ("D_A", "D_B"):
        parts[name] = own.Discriminator(own.d_conv_dim, own.image_size).apply(own.weights_init_normal)
    for name in ("former_A", "former_B"):
        parts[name] = Former(variant.former, own.image_size) if variant.former else nn.Identity()
    for network in parts.values():
        network.to(own.device, memory_format=torch.channels_last).train()
    for optimizer, both in (("d_optimizer", ("D_A", "D_B")), ("g_optimizer", ("G_AB", "G_BA"))):
        weights = [weight for name in both for weight in parts[name].parameters()]
        parts[optimizer] = torch.optim.Adam(weights, own.learning_rate, own.betas, fused=True)

    def both_steps(_run, images, _labels):
        drawn = others[torch.randint(len(others), (len(images),))] / 255  # by chance: no pairs
        with helper.fast_math(own.device):
            return step(variant, parts, *(own.scale(x.to(own.device)) for x in (images, drawn)))

    settings = {"other": helper.data_key(course.loader_of(own, others)),
                "variant": [getattr(value, "__name__", value) for value in variant]}
    return beside.System(own, loop=course.loop_of(both_steps), parts=parts, settings=settings,
                         trouble=lambda *_: [])  # the notebook's signs are those of the notebook's losses


# --- Side by side -----------------------------------------------------------------------------------------------------


def train(name, seed, seconds, A, B, given):
    """Train one of VARIANTS: the first until it has seen given.images, the others for `seconds`. Returns Judged."""
    print(f"\n{name}, seed {seed}", flush=True)
    torch.manual_seed(seed)
    made = system(VARIANTS[name], B.photographs)
    run = beside.train(made, A.photographs, given.images, beside.kept(given, f"{name}, seed {seed}"), seconds)
    for G, domain in (("G_AB", A), ("G_BA", B)):  # BatchNorm: the statistics of real pictures alone
        update_bn(batches(made.parts[G], domain.photographs[:2000]), made.parts[G])
    return beside.Judged(name, seed, run, made, None)


def measure(given):
    A, B = domains(given)
    rows, judged = [], []
    for way, start, end in (("A to B", A, B), ("B to A", B, A)):
        rows += [["untouched", "", "", "", way, *numbers(start, end, start.reals, start.reals)],
                 ["other real pictures", "", "", "", way, *numbers(start, end, end.photographs[: len(start.reals)])]]
    for seed in given.seeds:
        seconds = math.inf
        for name in VARIANTS:
            one = train(name, seed, seconds, A, B, given)
            seconds = one.run.seconds if math.isinf(seconds) else seconds
            judged.append(one)
            rows += [[*beside.done(one), way, *numbers(*ends)] for way, *ends in rounds(A, B, one.system.parts)]
    headings = [f"{len(A.reals):,} and {len(B.reals):,} pictures", "seed", "images", "seconds", "way", *HEADINGS]
    return beside.markdown(headings, rows), draw(A, B, judged[: len(VARIANTS)])


def draw(A, B, judged):
    """A Figure: for each training and both ways held-out pictures, under them what they became, and what came back."""
    first = [domain._replace(reals=domain.reals[:SHOWN]) for domain in (A, B)]
    shown = {}
    for both in zip(*(rounds(*first, one.system.parts) for one in judged), strict=True):  # A to B, then B to A
        for one, (way, start, _, made, back) in zip(judged, both, strict=True):
            shown[f"{one.name}, {way} and back"] = torch.cat([start.reals, made, back])
    return beside.panels(beside.sheet(3 * len(judged), 3), shown, len(judged), SHOWN)


OPTIONS = {"--other": {"metavar": "FOLDER", "help": "pictures of domain B (default: half of the faces, recoloured)"}}

if __name__ == "__main__":
    beside.main("discogan", __doc__, measure, images=40_000, options=OPTIONS)
