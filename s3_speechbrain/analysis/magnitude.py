"""The magnitude masks of a pretrained encoder: what order-preserving and magnitude scores start from."""

from pathlib import Path

from safetensors.torch import save_file

from s3_speechbrain.encoders import SpeechEncoder
from s3_speechbrain.masking import MaskConfig, keep_masks, mask_


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
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(keep_masks(encoder), path)
    return path
