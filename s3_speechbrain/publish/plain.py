"""What plain transformers needs beside config and weights: a CTC tokenizer and the waveform's normalisation."""

import json
import tempfile
from pathlib import Path

from transformers import Wav2Vec2CTCTokenizer, Wav2Vec2FeatureExtractor

from s3_speechbrain.errors import UserError
from s3_speechbrain.modelfolder import ModelConfig
from s3_speechbrain.publish.labels import surface_labels

PAD = "<pad>"
DELIMITERS = ("|", "¦", "‖")  # stands for the space, which transformers wants written as something else


def write_plain(folder: Path, config: ModelConfig) -> None:
    """Write tokenizer and feature extractor, so that ``pipeline("automatic-speech-recognition")`` runs the folder.

    Raises
    ------
    UserError
        If the model is none that plain transformers can run.
    """
    if config.obstacle is not None:
        raise UserError(f"plain transformers cannot run this model: {config.obstacle}")
    labels = surface_labels(config.tokenizer)
    delimiter = next(sign for sign in DELIMITERS if sign not in "".join(labels))
    texts = [PAD, *(delimiter if label == " " else label for label in labels[1:])]
    with tempfile.TemporaryDirectory() as place:
        vocabulary = Path(place) / "vocab.json"
        vocabulary.write_text(json.dumps({text: index for index, text in enumerate(texts)}), encoding="utf-8")
        # No other special tokens: each would be one more label, which the head has not.
        tokenizer = Wav2Vec2CTCTokenizer(
            str(vocabulary),
            bos_token=None,
            eos_token=None,
            unk_token=PAD,
            pad_token=PAD,
            word_delimiter_token=delimiter,
        )
        tokenizer.save_pretrained(folder)
    layer_norm = getattr(config.encoder, "feat_extract_norm", "layer") == "layer"
    # "base" models were never trained with a mask of the padding
    extractor = Wav2Vec2FeatureExtractor(do_normalize=config.normalises, return_attention_mask=layer_norm)
    extractor.save_pretrained(folder)
