"""Names of a recogniser's tensors in ``model.safetensors``.

They are those of transformers' CTC models (``wav2vec2.encoder...``, ``lm_head.weight``), and with a mix of layers
those of its frame classifiers, so that one file serves this project, SpeechBrain and transformers. What those do
not know has names of its own: ``selector.*``, and ``lm_head.N.*`` for a head with hidden layers.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

PREFIX = {
    "wav2vec2": "wav2vec2.",
    "hubert": "hubert.",
    "wavlm": "wavlm.",
    "data2vec-audio": "data2vec_audio.",
    "whisper": "encoder.",
}
# What the network has in training only, or a source's config asked for and no recogniser uses.
UNUSED = ("masked_spec_embed", "adapter.")


def stored_names(family: str, head: Mapping[str, Any]) -> dict[str, str]:
    """Return what the names of a `Recogniser`'s tensors begin with, and what they begin with in the file.

    Parameters
    ----------
    family : str
        Of the encoder.
    head : mapping
        Options of the `CTCHead`.
    """
    last = "classifier" if head["layers"] is not None else "lm_head"
    depth = len(head["hidden"])
    hidden = {f"head.body.{2 * index}.": f"{last}.{2 * index}." for index in range(depth)}
    return {
        "encoder.model.": PREFIX[family],
        "head.mix": "layer_weights",
        **hidden,
        "head.classifier.": f"{last}.{2 * depth}." if depth else f"{last}.",
        "selector.": "selector.",
    }


def state_of(model: nn.Module, family: str, head: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return the tensors of a `Recogniser` under the names of the file; those that only training uses left out."""
    names = stored_names(family, head)
    found = {}
    for name, value in model.state_dict().items():
        start = next((start for start in names if name.startswith(start)), None)
        if start is not None and not name.removeprefix(start).startswith(UNUSED):
            found[names[start] + name.removeprefix(start)] = value
    return found
