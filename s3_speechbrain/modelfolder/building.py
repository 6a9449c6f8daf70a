"""From a config to the network that it describes."""

from torch import Tensor

from s3_speechbrain.brains.model import CTCHead, Recogniser
from s3_speechbrain.encoders import SpeechEncoder
from s3_speechbrain.maskbank.header import need
from s3_speechbrain.modelfolder.config import ModelConfig
from s3_speechbrain.modelfolder.shapes import making_a_network
from s3_speechbrain.modelfolder.tensors import state_of
from s3_speechbrain.tokens import TokenDetector, make_selector
from s3_speechbrain.tokens.config import DETECTED


def build(config: ModelConfig) -> Recogniser:
    """Build the recogniser that a config describes, with random weights, frozen and in evaluation mode."""
    encoder = SpeechEncoder.from_config(config.encoder, config.normalises, "this model")
    encoder.model.set_attn_implementation(config.attention)
    head = CTCHead(labels=len(config.tokenizer["labels"]), **config.head)
    selector = None
    if config.selector is not None:
        detected = config.selector.selector in DETECTED
        detector = TokenDetector(encoder.extractor_width, config.selector.detector) if detected else None
        selector = make_selector(config.selector, encoder, detector)
    return Recogniser(encoder, head, selector).requires_grad_(False).eval()


def expected_tensors(config: ModelConfig) -> dict[str, Tensor]:
    """Return the tensors that a model of this config has, without content and so at no cost of memory.

    Raises
    ------
    RefusedError
        If the sizes in the config do not make a network.
    """
    need(config.head["width"] == _width(config), "the width of its head is not that of its encoder")
    layers = config.head["layers"]
    need(
        layers in (None, _layers(config) + 1), "its head mixes another number of layers than its encoder has"
    )
    with making_a_network():
        model = build(config)
    return state_of(model, config.encoder.model_type, config.head)


def _width(config: ModelConfig) -> int:
    encoder = config.encoder
    return encoder.d_model if encoder.model_type == "whisper" else encoder.hidden_size


def _layers(config: ModelConfig) -> int:
    encoder = config.encoder
    return encoder.encoder_layers if encoder.model_type == "whisper" else encoder.num_hidden_layers
