"""A trained detector as one file, with its size in the metadata; nothing in it can run code when read."""

import dataclasses
import json
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from s3_speechbrain.errors import UserError
from s3_speechbrain.tokens.detector import DetectorConfig, TokenDetector

DETECTOR_FILE = "detector.safetensors"
FORMAT = "s3-speechbrain token detector 1"


def save_detector(path: str | Path, detector: TokenDetector) -> Path:
    """Write a detector's weights and size."""
    path = Path(path)
    weights = {name: value.detach().cpu().contiguous() for name, value in detector.state_dict().items()}
    size = {"features": detector.features, **dataclasses.asdict(detector.config)}
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}")
    save_file(weights, temporary, metadata={"format": FORMAT, "size": json.dumps(size)})
    temporary.replace(path)
    return path


def load_detector(path: str | Path, features: int) -> TokenDetector:
    """Read what `save_detector` wrote.

    Parameters
    ----------
    path : path
        The file.
    features : int
        Width of the extractor's features that it shall read.

    Raises
    ------
    UserError
        If the file is missing or something else, or the detector reads features of another width.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"no detector {path}: give a run with a detector, or train one")
    try:
        with safe_open(path, framework="pt") as file:
            about = file.metadata() or {}
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, not a dict
        if about.get("format") != FORMAT:
            raise UserError(f"{path} is no token detector; train one again")
        size = json.loads(about["size"])
        width = size.pop("features")
        if width != features:
            raise UserError(
                f"{path} reads features of width {width}, this backbone has {features}; train another"
            )
        detector = TokenDetector(features, DetectorConfig(**size))
        detector.load_state_dict(weights)
    except (SafetensorError, RuntimeError, KeyError, TypeError, json.JSONDecodeError) as error:
        raise UserError(f"{path} is damaged ({str(error).splitlines()[0]}); train it again") from error
    return detector
