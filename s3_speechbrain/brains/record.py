"""The fields of ``metrics.json`` that runs on speech and on text share."""

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

from s3_speechbrain import measure
from s3_speechbrain.brains.backbone import backbone_sha256
from s3_speechbrain.brains.experiment import backbone_name
from s3_speechbrain.brains.state import History


def shared_fields(
    hparams: SimpleNamespace,
    history: History,
    rounds: Sequence[Mapping[str, Any]],
    best: Mapping[str, Any],
    sparsity: Mapping[str, Any],
    counted: measure.ParameterCount,
    stored: measure.LanguageBytes,
) -> dict[str, Any]:
    """Tell what a run was, what it cost and how large its result is.

    Parameters
    ----------
    hparams : SimpleNamespace
        Its settings.
    history : History
        Of the Brain, after `keep_time`.
    rounds : sequence of mapping
        Its validation rounds, those of earlier stages included.
    best : mapping
        The round whose checkpoint was tested.
    sparsity : mapping
        From `masking.sparsity_report`.
    counted, stored
        Parameters of the network, and bytes of a language.
    """
    sha256 = backbone_sha256(vars(hparams))
    return {
        "backbone": backbone_name(vars(hparams)),
        **({"backbone_sha256": sha256} if sha256 else {}),
        "seed": hparams.seed,
        "sparsity": {name: sparsity[name] for name in ("masked", "linears", "model")},
        "cost": {
            "wall_s": history.seconds,
            "updates": rounds[-1]["updates"],
            "best_update": best["updates"],
            "peak_rss_mb": measure.peak_rss_mb(),
            "trainable": counted.trainable,
            **history.counts,
        },
        "size": {
            "parameters": counted.total,
            "bytes_per_language": stored.packed,
            "bytes_bound": stored.bound,
        },
        "versions": measure.versions(),
        "command": hparams.run["command"],
        "config_hash": hparams.run["config_hash"],
        "history": rounds,
    }
