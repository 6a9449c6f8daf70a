"""Learning-rate schedules as pure functions of the update number."""


def tri_stage(
    update: int,
    updates: int,
    *,
    warmup: float = 0.1,
    hold: float = 0.4,
    initial: float = 0.01,
    final: float = 0.05,
) -> float:
    """Factor on the learning rate: linear warm-up, constant, exponential decay (wav2vec 2.0, Section 4.3).

    Parameters
    ----------
    update : int
        Number of updates done before this one (0 for the first).
    updates : int
        Length of the training.
    warmup, hold : float
        Shares of `updates` for the first two stages; the rest decays.
    initial, final : float
        Factors at the beginning and at the end.

    Returns
    -------
    float
        Between ``min(initial, final)`` and 1; `final` from `updates` on.
    """
    rising, flat = warmup * updates, hold * updates
    if update < rising:
        return initial + (1 - initial) * update / rising
    falling = updates - rising - flat
    progress = (update - rising - flat) / falling if falling > 0 else 0.0
    return final ** min(max(progress, 0.0), 1.0)


def linear(update: int, updates: int, *, warmup: float = 0.1) -> float:
    """Factor on the learning rate: linear warm-up, then linear decay to 0, as BERT is finetuned.

    Parameters
    ----------
    update, updates : int
        As for `tri_stage`.
    warmup : float
        Share of `updates` for the first stage.

    Returns
    -------
    float
        Between 0 and 1.
    """
    rising = warmup * updates
    if update < rising:
        return update / rising
    return max(0.0, (updates - update) / max(updates - rising, 1e-9))
