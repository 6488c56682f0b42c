"""Signs of trouble: the usual ways in which a GAN goes wrong, seen in its losses and in its faces."""

JUDGED_AFTER = 10_000  # images; before that, all faces are alike and change little, whatever comes of them


def signs_of_trouble(history, snapshots, seen):
    """Look for the usual ways in which a GAN with the notebook's losses goes wrong.

    Args:
        history: dict of lists "images", "d_loss" and "g_loss", an entry every 50 batches; judged over the last ten.
        snapshots: list of uint8 tensors (N, C, S, S), faces of the same z; judged after JUDGED_AFTER images, the last
            against the one a tenth of the training before it, the half-life of the moving average, and at least half of
            JUDGED_AFTER.
        seen: list of int, how many images had been seen at each snapshot.
    Returns: list of str, one line for each sign; empty while all is well.
    """
    signs = []
    d_loss, g_loss = (history.get(key, [])[-10:] for key in ("d_loss", "g_loss"))
    # 0.33 is the least that a discriminator's loss can be when real images have the label 0.9
    if len(d_loss) == 10 and (max(d_loss) < 0.1 or (max(d_loss) < 0.45 and min(g_loss) > 4)):
        signs.append("the discriminator has won: it tells all faces apart, and the generator learns little from it; lower "
                     "its learning rate or raise its dropout")
    if not seen or seen[-1] < JUDGED_AFTER:
        return signs
    before = seen[-1] - max(JUDGED_AFTER / 2, seen[-1] / 10)
    former = [snapshot for snapshot, images in zip(snapshots, seen, strict=True) if images <= before][-1]
    spread = [snapshot.float().div(255).std(dim=0, correction=0).mean().item()
              for snapshot, images in zip(snapshots, seen, strict=True) if images >= JUDGED_AFTER / 2 or not images]
    if former.shape == snapshots[-1].shape and (snapshots[-1].float() - former.float()).abs().mean() < 0.005 * 255:
        signs.append("the generator is stuck: the faces of the fixed z no longer change; its gradient is gone, or its "
                     "optimizer does not move it")
    elif len(snapshots[-1]) > 1 and (spread[-1] < 0.03 or spread[-1] < 0.4 * max(spread)):
        signs.append("variety is collapsing: the faces of different z grow alike (mode collapse)")
    return signs
