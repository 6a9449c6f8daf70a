"""Writing a model folder: checked as a reader does, whole or not at all."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from s3_speechbrain.atomic import flush
from s3_speechbrain.brains.model import CTCHead, Recogniser
from s3_speechbrain.brains.tokens import Tokenizer, tokenizer_record
from s3_speechbrain.errors import UserError
from s3_speechbrain.maskbank.header import RefusedError, need
from s3_speechbrain.modelfolder.building import expected_tensors
from s3_speechbrain.modelfolder.config import (
    DTYPES,
    MOST_CONFIG_BYTES,
    ModelConfig,
    ModelFacts,
    dump_config,
    parse_model_config,
)
from s3_speechbrain.modelfolder.files import CONFIG, METRICS, WEIGHTS, sha256_of, write_flushed
from s3_speechbrain.modelfolder.replacing import place_of, under_construction, why_not_ours
from s3_speechbrain.modelfolder.tensors import state_of


def write_model(
    folder: str | Path,
    recogniser: Recogniser,
    tokenizer: Tokenizer,
    facts: ModelFacts,
    metrics: Mapping[str, Any] | None = None,
    dtype: str = "float32",
) -> Path:
    """Write a recogniser as a folder of data: weights, config, tokenizer; a reader sees it whole or not at all.

    Parameters
    ----------
    folder : path
        Replaced if it is a model folder already and holds nothing else.
    recogniser : Recogniser
        In the form that it runs in: without masks, adapters or other parametrisations.
    tokenizer : Tokenizer
        Of the head's labels.
    facts : ModelFacts
        Where it comes from.
    metrics : mapping, optional
        Written as ``metrics.json``.
    dtype : {"float32", "float16"}
        Of the stored weights; half of them halves the file and can change a text here and there.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    UserError
        If the recogniser is not in that form, holds NaN, or the folder holds something else or cannot be written.
    """
    folder = Path(folder)
    if dtype not in DTYPES:
        raise UserError(f"dtype is {dtype!r}: choose one of {', '.join(DTYPES)}")
    place = place_of(folder)
    reason = why_not_ours(place, banks=False)
    if reason is not None:
        raise UserError(f"{folder} holds something other than a model ({reason}): give a new folder")
    draft, state = _describe(recogniser, tokenizer, facts, dtype)
    with under_construction(place) as part:
        save_file(state, part / WEIGHTS, {"format": "pt"})
        (part / WEIGHTS).chmod(0o644)  # safetensors writes for the owner alone
        flush(part / WEIGHTS)
        size = (part / WEIGHTS).stat().st_size
        weights = {"sha256": sha256_of(part / WEIGHTS), "bytes": size, "dtype": dtype}
        write_flushed(part / CONFIG, dump_config(dataclasses.replace(draft, weights=weights)).encode())
        if metrics is not None:
            text = json.dumps(metrics, indent=1, ensure_ascii=False) + "\n"
            write_flushed(part / METRICS, text.encode())
        flush(part)
    return folder


def _describe(
    recogniser: Recogniser, tokenizer: Tokenizer, facts: ModelFacts, dtype: str
) -> tuple[ModelConfig, dict[str, Tensor]]:
    """Return a config whose checksum is still open, and the tensors to store, both checked as a reader does."""
    encoder, head, selector = recogniser.encoder, head_options(recogniser.head), recogniser.selector
    if selector is not None and selector.config is None:
        raise UserError("the token selector does not know its settings: make it with make_selector")
    draft = ModelConfig(
        facts=facts,
        encoder=encoder.model.config,
        normalises=encoder.normalises,
        attention=encoder.model.config._attn_implementation,
        head=head,
        selector=None if selector is None else selector.config,
        tokenizer=tokenizer_record(tokenizer),
        weights={"sha256": "0" * 64, "bytes": 8, "dtype": dtype},
    )
    state = state_of(recogniser, encoder.family, head)
    try:
        text = dump_config(draft)
        need(len(text.encode()) <= MOST_CONFIG_BYTES, "its vocabulary is too large")
        wanted = expected_tensors(parse_model_config(text))
        _compare(state, wanted)
    except RefusedError as error:
        raise UserError(f"the model cannot be stored: {error}") from None
    kind = getattr(torch, dtype)
    stored = {
        name: value.detach().cpu().to(kind if value.is_floating_point() else value.dtype).contiguous()
        for name, value in state.items()
    }
    broken = next((name for name, value in stored.items() if not value.isfinite().all()), None)
    if broken is not None:
        raise UserError(
            f"the model cannot be stored: {broken} holds NaN or infinity (as {dtype}); train it again"
        )
    return draft, stored


def _compare(state: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> None:
    for name in sorted(state.keys() | wanted.keys()):
        here, there = (values[name].shape if name in values else None for values in (state, wanted))
        need(
            here == there,
            f"{name} is {here and tuple(here)}, its config makes it {there and tuple(there)}; "
            "bake masks and merge adapters first",
        )


def head_options(head: CTCHead) -> dict[str, Any]:
    """Return the options that make a head of the same shape."""
    layers = None if head.mix is None else len(head.mix)
    linears = [module for module in head.body if isinstance(module, torch.nn.Linear)]
    hidden = [linear.out_features for linear in linears]
    width = (linears[0] if linears else head.classifier).in_features
    return {"width": width, "hidden": hidden, "layers": layers}
