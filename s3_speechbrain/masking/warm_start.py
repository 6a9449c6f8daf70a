"""Scores that begin with the mask of another language instead of magnitudes alone."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from s3_speechbrain.errors import UserError
from s3_speechbrain.masking.api import masks_of, renew_masks_
from s3_speechbrain.masking.initialisation import ascending
from s3_speechbrain.masking.parametrisation import MaskedWeight
from s3_speechbrain.masking.thresholds import start_threshold_


def warm_start_(encoder: nn.Module, masks: Mapping[str, Tensor]) -> None:
    """Rearrange first scores so that whatever other masks remove ranks below whatever they keep.

    The values of the scores stay, and so does their order within either part. At the sparsity of the other masks, and
    where scores are ranked matrix by matrix as theirs were, the first mask is theirs; at another one, the smallest of
    what they keep go too, or the largest of what they remove come back. Thresholds that train begin between the two
    parts of their matrix.

    Parameters
    ----------
    encoder : nn.Module
        Masked by `mask_` and not trained yet; changed in place.
    masks : mapping of str to bool Tensor
        By dotted layer name, True where a weight is kept, as from `keep_masks`.

    Raises
    ------
    UserError
        If they are of other layers or another structure than the encoder's; nothing is changed then.
    """
    members = masks_of(encoder)
    _check(members, masks)
    names = {id(member): name for name, member in members.items()}
    groups = {id(member.group): member.group for member in members.values()}
    for group in groups.values():
        learned = group.members[0].gain is not None
        for part in [[member] for member in group.members] if learned else [group.members]:
            kept = torch.cat([masks[names[id(member)]].flatten() for member in part])
            _rearrange_([member.score.detach() for member in part], kept.cpu())
            if learned:
                start_threshold_(part[0], int((~kept).sum()))
    renew_masks_(encoder)


def _rearrange_(scores: list[Tensor], kept: Tensor) -> None:
    values = torch.cat([score.flatten() for score in scores]).cpu()
    places = ascending(values)
    arranged = torch.empty_like(values)
    arranged[torch.cat([places[~kept[places]], places[kept[places]]])] = values[places]
    for score, part in zip(scores, arranged.split([score.numel() for score in scores]), strict=True):
        score.copy_(part.view_as(score))


def _check(members: Mapping[str, MaskedWeight], masks: Mapping[str, Tensor]) -> None:
    odd = sorted(members.keys() ^ masks.keys())
    if odd:
        whose = "the other masks" if odd[0] in masks else "this run"
        raise UserError(f"Only {whose} mask {odd[0]!r}: warm starts need the same --groups and backbone.")
    for name, member in members.items():
        if masks[name].shape != member.keep.shape:
            raise UserError(
                f"The other mask of {name!r} is {tuple(masks[name].shape)}, this one {tuple(member.keep.shape)}: "
                "warm starts need the same --structure and backbone."
            )
