"""The file that plain SpeechBrain executes: a recogniser built of stock modules, sliced layers included."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from speechbrain.dataio.encoder import CTCTextEncoder

from s3_speechbrain.encoders.sliced import read_sliced
from s3_speechbrain.modelfolder import ModelConfig
from s3_speechbrain.modelfolder.shapes import TRAINING, describe_config
from s3_speechbrain.modelfolder.tensors import PREFIX
from s3_speechbrain.publish.labels import surface_labels

HYPERPARAMS = "hyperparams.yaml"
STEM = {"wav2vec2": "Wav2Vec2", "hubert": "Hubert", "wavlm": "WavLM", "data2vec-audio": "Data2VecAudio"}
WARNING = """\
# THIS FILE IS CODE: speechbrain's EncoderASR.from_hparams executes what it names (HyperPyYAML). Load it only from
# a source that you trust, and pin the revision. s3_speechbrain and transformers never read it.
#
# Generated. It builds the recogniser of modules of speechbrain, transformers and torch alone; model.ckpt is
# model.safetensors under the name that speechbrain asks for, no pickle.
"""


def stock_obstacle(config: ModelConfig) -> str | None:
    """Say why plain SpeechBrain cannot run a model; None if it can."""
    family = config.encoder.model_type
    if family == "whisper":
        return "SpeechBrain and transformers run Whisper's encoder on clips of 30 s only"
    if config.selector is not None:
        return "it drops frames, which no module of SpeechBrain or transformers does"
    if family == "wavlm" and read_sliced(config.encoder) is not None:
        return "WavLM's attention cannot have layers of different sizes in transformers"
    if config.head["layers"] is not None and getattr(config.encoder, "do_stable_layer_norm", False):
        return (
            "its head mixes layers, and transformers leaves the final norm out of such a mix for this encoder"
        )
    if family == "hubert" and config.head["layers"] is not None:
        return "transformers has no HuBERT whose layers are mixed for each frame"
    return None


def write_stock(folder: Path, config: ModelConfig) -> None:
    """Write ``hyperparams.yaml`` and the labels; ``model.ckpt`` is for the caller to link to the weights.

    Parameters
    ----------
    folder : Path
        The folder being published.
    config : ModelConfig
        Of a model without a `stock_obstacle`.
    """
    labels = CTCTextEncoder()
    labels.insert_blank(index=0)
    labels.update_from_iterable(surface_labels(config.tokenizer)[1:], sequence_input=False)
    labels.expect_len(len(config.tokenizer["labels"]))
    labels.save(folder / "tokenizer.ckpt")
    (folder / HYPERPARAMS).write_text(hyperparams(config), encoding="utf-8")


def hyperparams(config: ModelConfig) -> str:
    """Return the text of ``hyperparams.yaml``."""
    family, mixed = config.encoder.model_type, config.head["layers"] is not None
    stem, size = STEM[family], len(config.tokenizer["labels"])
    sizes = {name: value for name, value in describe_config(config.encoder).items() if name != "sliced"}
    sizes = {
        **sizes,
        **TRAINING,
        "use_weighted_layer_sum": mixed,
        "num_labels" if mixed else "vocab_size": size,
    }
    sizes.pop("model_type")
    changes = [*_head_lines(config), *_sliced_lines(config)]
    normalise = """\
    normalise: !new:speechbrain.processing.features.InputNormalization
        norm_type: sentence
        avoid_padding_norm: True
        epsilon: 0.0000001
"""
    return f"""\
{WARNING}
network: !new:transformers.{stem}For{"AudioFrameClassification" if mixed else "CTC"}
    config: !new:transformers.{stem}Config
{_options(sizes, 8)}
{"".join(changes)}
# SpeechBrain takes the first of a tuple; the network inside goes on with its own config.
tuples: !new:transformers.{stem}Config
    return_dict: False
    use_weighted_layer_sum: {mixed}
answers: !apply:torch.nn.Module.__setattr__
    - !ref <network>
    - config
    - !ref <tuples>

encoder: !new:speechbrain.nnet.containers.LengthsCapableSequential
{normalise if config.normalises else ""}\
    network: !ref <network>
    log_softmax: !new:speechbrain.nnet.activations.Softmax
        apply_log: True
modules:
    encoder: !ref <encoder>

tokenizer: !new:speechbrain.dataio.encoder.CTCTextEncoder
labels: !apply:speechbrain.dataio.encoder.CTCTextEncoder.expect_len
    - !ref <tokenizer>
    - {size}
decoding_function: !name:speechbrain.decoders.ctc_greedy_decode
    blank_id: 0

pretrainer: !new:speechbrain.utils.parameter_transfer.Pretrainer
    loadables:
        model: !ref <network>
        tokenizer: !ref <tokenizer>
    custom_hooks:
        model: !name:safetensors.torch.load_model
            strict: {not any("zeros_" in line for line in changes)}
"""


def _options(values: dict[str, Any], indent: int) -> str:
    return "\n".join(f"{' ' * indent}{name}: {json.dumps(value)}" for name, value in values.items())


def _put(number: int, place: str, module: str) -> str:
    """Return the lines that put a module, defined by its own lines, into the network."""
    return f"""\
part_{number}: {module}
put_{number}: !apply:torch.nn.Module.set_submodule
    - !ref <network>
    - {place}
    - !ref <part_{number}>
"""


def _linear(inputs: int, outputs: int, indent: int = 4) -> str:
    options = _options({"in_features": inputs, "out_features": outputs}, indent)
    return f"!new:torch.nn.Linear\n{options}"


def _head_lines(config: ModelConfig) -> Iterator[str]:
    """Replace the single linear layer by a head with hidden ones."""
    hidden, width = config.head["hidden"], config.head["width"]
    if not hidden:
        return
    parts = []
    for size in hidden:
        parts += [f"    - {_linear(width, size, 8)}", "    - !new:torch.nn.GELU"]
        width = size
    parts.append(f"    - {_linear(width, len(config.tokenizer['labels']), 8)}")
    place = "lm_head" if config.head["layers"] is None else "classifier"
    yield _put(0, place, "!new:torch.nn.Sequential\n" + "\n".join(parts))


def _sliced_lines(config: ModelConfig) -> Iterator[str]:
    """Give each layer its own size; transformers' attention follows the sizes of its projections."""
    sliced = read_sliced(config.encoder)
    if sliced is None:
        return
    encoder, number = config.encoder, 1
    width = encoder.hidden_size
    size = width // encoder.num_attention_heads
    for layer, (heads, neurons) in enumerate(zip(sliced.heads, sliced.neurons, strict=True)):
        at = f"{PREFIX[encoder.model_type]}encoder.layers.{layer}."
        inner = max(1, len(heads)) * size
        places = {f"attention.{name}": (width, inner) for name in ("q_proj", "k_proj", "v_proj")}
        places["attention.out_proj"] = (inner, width)
        places["feed_forward.intermediate_dense"] = (width, max(1, neurons))
        places["feed_forward.output_dense"] = (max(1, neurons), width)
        for place, (inputs, outputs) in places.items():
            yield _put(number, at + place, _linear(inputs, outputs))
            gone = (place == "attention.out_proj" and not heads) or (
                place.endswith("output_dense") and not neurons
            )
            if gone:  # one head or neuron has to stand there; its output counts nothing
                yield f"zeros_{number}: !apply:torch.nn.init.zeros_\n    - !ref <part_{number}.weight>\n"
            number += 1
