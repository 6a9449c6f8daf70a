"""Which precision to train in, where the settings leave it to the machine."""

import torch

from s3_speechbrain.errors import UserError

AUTO = "auto"


def settle_precision(wanted: str, device: str | None = None) -> str:
    """Turn ``auto`` into what is fast on a device; leave every other precision as it is.

    Parameters
    ----------
    wanted : str
        ``auto``, or a precision that SpeechBrain knows: ``fp32``, ``bf16``, ``fp16``.
    device : str, optional
        As SpeechBrain's option; None takes a GPU where there is one.

    Returns
    -------
    str
        For ``auto``: ``bf16`` if the device multiplies bfloat16 matrices in hardware, else ``fp32``.

    Raises
    ------
    UserError
        For ``fp16`` on a CPU.
    """
    if device is None:
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if wanted == "fp16" and torch.device(device).type == "cpu":
        raise UserError("precision is fp16, which needs a GPU: use --precision bf16 or fp32 on a CPU")
    if wanted != AUTO:
        return wanted
    return "bf16" if has_bfloat16(torch.device(device).type) else "fp32"


def has_bfloat16(kind: str) -> bool:
    """Tell whether a kind of device ("cuda", "cpu") has units for bfloat16 products.

    PyTorch computes in bfloat16 everywhere; without such units it is tens of times slower than float32 on a CPU.
    """
    if kind == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    # PyTorch of old cannot tell, so nothing is known there
    known = getattr(torch.cpu, "get_capabilities", dict)() if kind == "cpu" else {}
    return any(known.get(unit, False) for unit in ("avx512_bf16", "amx_bf16", "bf16"))  # the last is ARM's
