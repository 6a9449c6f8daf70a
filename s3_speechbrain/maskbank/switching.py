"""From packed masks to the weights of a running encoder."""

from collections.abc import Iterable, Mapping, Set
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor, nn

from s3_speechbrain.errors import UserError
from s3_speechbrain.maskbank.packing import PackedMask
from s3_speechbrain.masking import layers_of_masks, masks_of

BLOCK = 1 << 17  # weights whose expanded mask stays in a core's cache; a multiple of 8
_INTEGERS = {2: torch.int16, 4: torch.int32, 8: torch.int64}


class MaskSwitch:
    """The masked layers of one encoder, and their pristine weights.

    The pristine weights are kept beside the encoder and only read: each switch writes the encoder's weights from
    them, so no sequence of switches can wear them down. A mask is expanded to all-ones and all-zeros words and
    joined by a bitwise AND, which leaves a kept weight as it is, bit for bit, and makes a removed one +0.0.

    Parameters
    ----------
    encoder : nn.Module
        Without masks, in main memory; its weights are overwritten by `apply`.
    shapes : iterable of mapping of str to tuple of int
        For each set of masks that may be applied, layer names to mask shapes.

    Raises
    ------
    UserError
        If the encoder is masked already, or a mask does not fit it.
    """

    def __init__(self, encoder: nn.Module, shapes: Iterable[Mapping[str, tuple[int, ...]]]) -> None:
        if masks_of(encoder):
            raise UserError("the encoder is masked already: give one that was freshly loaded")
        layers: dict[str, nn.Module] = {}
        for wanted in shapes:
            layers |= layers_of_masks(encoder, wanted)
        self._active = {name: _words(layer.weight) for name, layer in layers.items()}
        self._pristine = {name: words.copy() for name, words in self._active.items()}
        self._masked: Set[str] = frozenset()
        self._threads = torch.get_num_threads()
        self._pool = ThreadPoolExecutor(self._threads - 1) if self._threads > 1 else None

    def apply(self, masks: Mapping[str, PackedMask]) -> None:
        """Write the masked weights of these layers, and the pristine ones of all others.

        Parameters
        ----------
        masks : mapping of str to PackedMask
            With names and shapes that the constructor was told of.
        """
        names = masks.keys() | self._masked
        self._masked = names  # should this be interrupted, the next call writes all of them
        work = iter([task for name in names for task in self._tasks(name, masks.get(name))])

        def drain() -> None:
            buffer = {}
            for name, start, stop in work:  # one iterator for all threads: who is free takes the next block
                self._write(name, masks.get(name), start, stop, buffer)

        others = [self._pool.submit(drain) for _ in range(self._threads - 1)] if self._pool else []
        drain()
        for other in others:
            other.result()
        self._masked = frozenset(masks)

    def restore(self) -> None:
        """Write the pristine weights back: the encoder is the bare backbone again."""
        self.apply({})

    def _tasks(self, name: str, mask: PackedMask | None) -> list[tuple[str, int, int]]:
        size = self._active[name].size
        step = BLOCK if mask is None or mask.entries == size else size
        return [(name, start, min(start + step, size)) for start in range(0, size, step)]

    def _write(self, name: str, mask: PackedMask | None, start: int, stop: int, buffer: dict) -> None:
        pristine, active = self._pristine[name], self._active[name]
        if mask is None:
            active.reshape(-1)[start:stop] = pristine.reshape(-1)[start:stop]
        elif mask.entries == active.size:
            words = _expand(mask.bits[start // 8 : -(-stop // 8)], stop - start, active.dtype, buffer)
            np.bitwise_and(pristine.reshape(-1)[start:stop], words, out=active.reshape(-1)[start:stop])
        else:
            words = _expand(mask.bits, mask.entries, active.dtype, {}).reshape(mask.shape)
            np.bitwise_and(pristine, words, out=active)


def _words(weight: Tensor) -> np.ndarray:
    """View a weight as integers of its size; writing to them writes the weight."""
    if weight.device.type != "cpu" or not weight.is_contiguous():
        raise UserError("masks are switched in main memory: load the encoder on the CPU")
    return weight.detach().view(_INTEGERS[weight.element_size()]).numpy()


def _expand(bits: np.ndarray, count: int, dtype: np.dtype, buffer: dict) -> np.ndarray:
    """Turn bits into words of all ones and all zeros."""
    signs = np.unpackbits(bits, count=count).view(np.int8)
    np.negative(signs, out=signs)
    if dtype not in buffer:
        buffer[dtype] = np.empty(max(BLOCK, count), dtype)
    words = buffer[dtype][:count]
    np.copyto(words, signs)
    return words
