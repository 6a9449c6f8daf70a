"""An entry as a safetensors file: what `writing` and `reading` share.

Tensors: ``masks`` (all coded masks, one after the other), ``head.*`` (float32 or float16), ``tokenizer.model``
(only with SentencePiece), ``sha256``. Metadata: one field, ``entry``, the JSON of `header`. The digest covers the
JSON and the name, type, shape and bytes of every other tensor.
"""

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from s3_speechbrain.maskbank.header import RefusedError

MOST_FILE_BYTES = 1 << 30
HEAD = "head."


def digest(text: str, tensors: dict[str, np.ndarray]) -> bytes:
    """Return the SHA-256 over a header and all tensors but the digest itself."""
    found = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        value = tensors[name]
        found.update(f"\n{name} {value.dtype} {value.shape}\n".encode())
        found.update(np.ascontiguousarray(value).data.cast("B") if value.size else b"")
    return found.digest()


def check_finite(head: dict[str, Tensor]) -> None:
    """Refuse a head that would answer nonsense."""
    for name, value in head.items():
        if not value.isfinite().all():
            raise RefusedError(f"the head's {name} holds NaN or infinity")


def parallel(action: Callable, *arguments: object) -> Iterator:
    """Map over the layers with as many threads as torch uses; zlib and numpy work outside Python's lock."""
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        yield from pool.map(action, *arguments)
