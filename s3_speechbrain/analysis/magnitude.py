"""The magnitude masks of a pretrained encoder: what order-preserving and magnitude scores start from."""

from pathlib import Path

from s3_speechbrain.encoders import SpeechEncoder
from s3_speechbrain.masking import MaskConfig, keep_masks, mask_
from s3_speechbrain.pruning import save_masks


def save_magnitude_masks(
    source: str, sparsity: float, groups: list[str], scope: str, path: str | Path
) -> Path:
    """Remove the smallest weights of a pretrained encoder and save the masks.

    Parameters
    ----------
    source : str
        ``builtin``, a hub name or a local folder.
    sparsity : float
        Fraction removed.
    groups, scope : list of str, str
        As in `MaskConfig`.
    path : path
        The safetensors file to write.

    Returns
    -------
    Path
        The file.
    """
    encoder = SpeechEncoder(source)
    mask_(encoder, MaskConfig(sparsity=sparsity, groups=tuple(groups), scope=scope, init="magnitude"))
    return save_masks(path, keep_masks(encoder), {"source": source, "sparsity": sparsity, "scope": scope})
