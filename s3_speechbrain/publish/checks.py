"""Transcribe clips with a published folder in a process of its own: ``python checks.py WAY FOLDER CLIPS``.

It is run by its path, so that the ways of plain SpeechBrain and plain transformers run without this project: they
fail if it gets imported. CLIPS is a JSON file with lists of audio paths by language; the answer, JSON with the
texts by language, is the last line of the output.
"""

import json
import sys
import tempfile
import time
from collections.abc import Callable

PROJECT = "s3_speechbrain"
Clips = dict[str, list[str]]  # audio files, or texts, by language


def with_model(folder: str, clips: Clips) -> Clips:
    """Read a model folder as this project does."""
    import torch

    from s3_speechbrain.brains.batches import read_audio
    from s3_speechbrain.brains.errors import greedy_decode
    from s3_speechbrain.brains.tokens import BLANK
    from s3_speechbrain.modelfolder import read_model

    model, whole = read_model(folder), torch.ones(1)

    @torch.inference_mode()
    def recognise(clip: str) -> str:
        logits, frames = model.recogniser(read_audio(clip)[None], whole)
        return model.tokenizer.decode(greedy_decode(logits, frames, BLANK)[0])

    return _each(clips, recognise)


def with_bank(folder: str, clips: Clips) -> Clips:
    """Read a mask bank as this project does."""
    from s3_speechbrain.brains.batches import read_audio
    from s3_speechbrain.inference import SharedRecogniser

    recogniser = SharedRecogniser.from_bank(folder, languages=list(clips))
    return {
        language: recogniser.transcribe([read_audio(clip) for clip in own], language)
        for language, own in clips.items()
    }


def with_speechbrain(folder: str, clips: Clips) -> Clips:
    """Load the folder with stock SpeechBrain."""
    from speechbrain.inference.ASR import EncoderASR

    with tempfile.TemporaryDirectory() as place:
        recogniser = EncoderASR.from_hparams(source=folder, savedir=place)
        return _each(clips, recogniser.transcribe_file)


def with_transformers(folder: str, clips: Clips) -> Clips:
    """Load the folder with stock transformers."""
    import soundfile
    from transformers import pipeline

    model = pipeline("automatic-speech-recognition", model=folder)

    def recognise(clip: str) -> str:
        samples, rate = soundfile.read(clip, dtype="float32")
        return model({"raw": samples, "sampling_rate": rate})["text"]

    return _each(clips, recognise)


def _each(clips: Clips, recognise: Callable[[str], str]) -> Clips:
    return {language: [" ".join(recognise(clip).split()) for clip in own] for language, own in clips.items()}


WAYS: dict[str, Callable[[str, Clips], Clips]] = {
    "model": with_model,
    "bank": with_bank,
    "speechbrain": with_speechbrain,
    "transformers": with_transformers,
}


def main(way: str, folder: str, clips: str) -> None:
    """Transcribe and print."""
    with open(clips, encoding="utf-8") as file:
        wanted = json.load(file)
    start = time.monotonic()
    texts = WAYS[way](folder, wanted)
    if way in ("speechbrain", "transformers") and PROJECT in sys.modules:
        sys.exit(f"{PROJECT} was imported: the folder does not stand alone")
    print("\n" + json.dumps({"texts": texts, "seconds": time.monotonic() - start}))


if __name__ == "__main__":
    main(*sys.argv[1:])
