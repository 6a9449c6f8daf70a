"""A recogniser to an ONNX file: waveform in, logits out, token removal inside, for clips of any length.

PyTorch's tracing exporter writes it. It follows shapes through the whole model, the places of kept frames
included, in a fraction of a second. The newer exporter (``dynamo=True``) gives the same outputs in two graphs, as
it cannot go on behind a data-dependent number of frames here, and takes a hundred times longer.
"""

import io
import json
import math
import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from s3_speechbrain import __version__
from s3_speechbrain.atomic import write_atomic
from s3_speechbrain.brains.tokens import Tokenizer, tokenizer_record
from s3_speechbrain.encoders import SpeechEncoder
from s3_speechbrain.encoders.log_mel import LogMel
from s3_speechbrain.errors import UserError
from s3_speechbrain.export.runtime import INPUT, OUTPUT
from s3_speechbrain.inference.one_clip import OneClip
from s3_speechbrain.publish.labels import surface_labels

OPSET = 17
MOST_BYTES = 2**31 - 1  # a protobuf message cannot be larger
TRACED_SECONDS = 2.0


class ConvLogMel(LogMel):
    """Whisper's log-mel with the Fourier transform as a convolution, which every ONNX runtime has.

    Parameters
    ----------
    like : LogMel
        Whose filters and window to take.
    """

    def __init__(self, like: LogMel) -> None:
        nn.Module.__init__(self)
        self.n_fft, self.hop = like.n_fft, like.hop
        self.register_buffer("filters", like.filters)
        turns = torch.arange(like.n_fft // 2 + 1)[:, None] * torch.arange(like.n_fft)[None]
        angles = 2 * math.pi / like.n_fft * (turns % like.n_fft).double()
        waves = torch.cat([angles.cos(), angles.sin()]) * like.window.double()
        self.register_buffer("waves", waves.float()[:, None])

    def power(self, wav: Tensor) -> Tensor:
        """Return the power spectrum; see `LogMel.power`."""
        edge = self.n_fft // 2
        padded = nn.functional.pad(wav[None, None], (edge, edge), mode="reflect")
        parts = nn.functional.conv1d(padded, self.waves, stride=self.hop)[0, :, :-1]
        real, imaginary = parts.chunk(2)
        return real.square() + imaginary.square()


def export_onnx(
    clip: OneClip, tokenizer: Tokenizer, path: str | Path, facts: Mapping[str, str] | None = None
) -> Path:
    """Write a recogniser as an ONNX file that explains itself.

    Parameters
    ----------
    clip : OneClip
        On the CPU, in float32.
    tokenizer : Tokenizer
        Of its labels; they are stored in the file.
    path : path
        The file; replaced if it exists.
    facts : mapping of str to str, optional
        More metadata, for example the language.

    Returns
    -------
    Path
        The file. Input ``wave``: float32 (1, samples) at 16 kHz, as recorded; the waveform's normalisation is in the
        graph. Output ``logits``: float32 (1, frames, labels). See `runtime` for the metadata.

    Raises
    ------
    UserError
        If onnx is missing, the model is larger than one file can be, or has a part that no graph can express.
    """
    onnx = require("onnx")
    weights = sum(value.nbytes for value in clip.state_dict().values())
    if weights > MOST_BYTES:
        raise UserError(
            f"the weights take {weights / 1e9:.1f} GB, an ONNX file holds 2; compress the model first"
        )
    spectra = clip.encoder.log_mel
    try:
        if spectra is not None:
            clip.encoder.log_mel = ConvLogMel(spectra)
        content = _trace(clip)
    except (RuntimeError, TypeError, NotImplementedError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"this model cannot be written as a graph ({reason}); export another run") from error
    finally:
        clip.encoder.log_mel = spectra
    model = onnx.load_from_string(content)
    for key, value in {**describe(clip, tokenizer), **(facts or {})}.items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value
    onnx.checker.check_model(model)
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, model.SerializeToString())
    return path


def describe(clip: OneClip, tokenizer: Tokenizer) -> dict[str, str]:
    """Return the metadata that a file needs to be run without anything else."""
    record = tokenizer_record(tokenizer)
    pieces = record["kind"] == "sentencepiece"
    # what stands for unknown pieces in a text is known here, and a device has no SentencePiece
    labels = surface_labels(record) if pieces else tokenizer.labels
    return {
        "format": "1",
        "made_by": f"s3_speechbrain {__version__}, torch {torch.__version__}",
        "sampling_rate": str(SpeechEncoder.sampling_rate),
        "least_samples": str(clip.least_samples),
        "tokenizer": record["kind"],
        "labels": json.dumps(labels, ensure_ascii=False),
    }


def require(name: str):
    """Import a package of the extra ``export``, or say how to get it."""
    try:
        return __import__(name)
    except ImportError:
        raise UserError(f"{name} is not installed; run: pip install 's3-speechbrain[export]'") from None


def _trace(clip: OneClip) -> bytes:
    wave = torch.randn(1, int(TRACED_SECONDS * SpeechEncoder.sampling_rate), generator=_seeded())
    made = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # of tracing: Python conditions that hold for every clip in here
        torch.onnx.export(
            clip,
            (0.1 * wave,),
            made,
            dynamo=False,
            opset_version=OPSET,
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_axes={INPUT: {1: "samples"}, OUTPUT: {1: "frames"}},
        )
    return made.getvalue()


def _seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)
