"""Run an exported file: waveform to text, with numpy and onnxruntime alone.

    from s3_speechbrain.export.runtime import OnnxRecogniser
    text = OnnxRecogniser("model.fp32.onnx").transcribe(wave)

The metadata of a file: ``format`` (1), ``sampling_rate``, ``least_samples`` (a shorter clip has no frame),
``tokenizer`` (characters, phones or sentencepiece), ``labels`` (JSON; the first is the blank; pieces are stored as
they stand in a text, the unknown one among them), ``made_by``.
"""

import json
from pathlib import Path

import numpy as np

from s3_speechbrain.errors import UserError
from s3_speechbrain.waves import as_samples

INPUT, OUTPUT = "wave", "logits"
BLANK = 0


class OnnxRecogniser:
    """A recogniser in an ONNX file.

    Parameters
    ----------
    path : path
        The file.
    threads : int
        That one clip is computed with.

    Attributes
    ----------
    labels : list of str
        By index, the empty text for the blank.
    sampling_rate, least_samples : int
        Of the waveforms.

    Raises
    ------
    UserError
        If onnxruntime is missing, or the file is not one that this project exported.
    """

    def __init__(self, path: str | Path, threads: int = 2) -> None:
        try:
            import onnxruntime
        except ImportError:
            raise UserError("onnxruntime is not installed; run: pip install onnxruntime") from None
        if not Path(path).is_file():
            raise UserError(f"there is no file {path}: export a run first")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.log_severity_level = 3  # errors alone
        try:
            self._session = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
            facts = self._session.get_modelmeta().custom_metadata_map
            if facts.get("format") != "1":
                raise ValueError(f"its format is {facts.get('format', 'not stated')}")
            self.labels: list[str] = json.loads(facts["labels"])
            self.sampling_rate, self.least_samples = int(facts["sampling_rate"]), int(facts["least_samples"])
            self._kind = facts["tokenizer"]
        except Exception as error:  # onnxruntime's errors have no base class of their own
            reason = " ".join(str(error).split())[:200]
            raise UserError(f"{path} cannot be run ({reason}); export it again") from None

    def logits(self, wave: np.ndarray) -> np.ndarray:
        """Return logits (T, V) of samples (N,); none of a clip that is too short for a frame.

        Parameters
        ----------
        wave : ndarray
            Floating-point samples of one channel, shape (N,), at `sampling_rate`.

        Raises
        ------
        UserError
            If it is not one channel of finite floating-point samples.
        """
        wave = as_samples(wave, "the clip")
        if len(wave) < self.least_samples:
            return np.zeros((0, len(self.labels)), np.float32)
        found = self._session.run([OUTPUT], {INPUT: wave[None]})
        return found[0][0]

    def transcribe(self, wave: np.ndarray) -> str:
        """Return the greedy transcript of samples (N,); as `logits`."""
        return self.text(greedy(self.logits(wave)))

    def text(self, indices: list[int]) -> str:
        """Return the text of collapsed label indices."""
        found = [self.labels[index] for index in indices]
        if self._kind == "phones":
            return " ".join(found)
        return " ".join("".join(found).replace("▁", " ").split())  # "▁": pieces in files of before


def greedy(logits: np.ndarray) -> list[int]:
    """Take the best label of each frame (T, V), merge repeats, drop blanks."""
    best = logits.argmax(-1)
    starts = np.flatnonzero(np.diff(best, prepend=-1))
    return [int(label) for label in best[starts] if label != BLANK]
