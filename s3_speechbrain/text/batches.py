"""From labelled rows to padded batches of token ids."""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Dataset
from transformers import PreTrainedTokenizerBase

from s3_speechbrain.text.tasks import Row


@dataclass
class TextBatch:
    """A padded batch.

    Attributes
    ----------
    ids : list of str
        Row numbers.
    tokens, mask : Tensor
        Token ids and 1 for valid ones, int64, shape (B, T).
    targets : Tensor
        Labels, int64, shape (B,).
    segments : Tensor or None
        Which of two texts a token belongs to, shape (B, T), for encoders that are told.
    skipped : list
        Empty: every row can be read.
    """

    ids: list[str]
    tokens: Tensor
    mask: Tensor
    targets: Tensor
    segments: Tensor | None = None
    skipped: list[tuple[str, str]] = field(default_factory=list)

    def to(self, device: str | torch.device) -> "TextBatch":
        """Move the tensors."""
        moved = {
            each.name: getattr(self, each.name).to(device, non_blocking=True)
            for each in fields(self)
            if isinstance(getattr(self, each.name), Tensor)
        }
        return replace(self, **moved)


class Texts(Dataset):
    """Tokenised rows of one split.

    Parameters
    ----------
    rows : sequence of Row
        From a `Task`.
    tokenizer : PreTrainedTokenizerBase
        Of the encoder.
    max_tokens : int
        Longer texts are cut.
    """

    def __init__(self, rows: Sequence[Row], tokenizer: PreTrainedTokenizerBase, max_tokens: int) -> None:
        texts, seconds = [row[0] for row in rows], [row[1] for row in rows]
        pairs = None if seconds[0] is None else seconds
        encoded = tokenizer(texts, pairs, truncation=True, max_length=max_tokens)
        self.tokens = [torch.tensor(ids) for ids in encoded["input_ids"]]
        self.segments = [torch.tensor(ids) for ids in encoded.get("token_type_ids", [])]
        self.targets = [row[2] for row in rows]
        self.pad = tokenizer.pad_token_id
        self.lengths = [float(len(tokens)) for tokens in self.tokens]

    def __len__(self) -> int:
        return len(self.tokens)

    def __getitem__(self, index: int) -> int:
        return index

    def collate(self, indices: Sequence[int]) -> TextBatch:
        """Pad rows on the right."""
        sizes = torch.tensor([len(self.tokens[index]) for index in indices])
        tokens = self._padded(self.tokens, indices, self.pad)
        return TextBatch(
            ids=list(map(str, indices)),
            tokens=tokens,
            mask=(torch.arange(tokens.shape[1]) < sizes[:, None]).long(),
            targets=torch.tensor([self.targets[index] for index in indices]),
            segments=self._padded(self.segments, indices, 0) if self.segments else None,
        )

    @staticmethod
    def _padded(rows: Sequence[Tensor], indices: Sequence[int], value: int) -> Tensor:
        return pad_sequence([rows[index] for index in indices], batch_first=True, padding_value=value)
