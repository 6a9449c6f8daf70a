"""Build the network that is pretrained, from sizes alone or with layers taken over from a teacher."""

import math
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import AutoModel, Wav2Vec2Config, Wav2Vec2FeatureExtractor

from s3_speechbrain.encoders import SpeechEncoder
from s3_speechbrain.errors import UserError


def build_student(
    folder: str | Path,
    *,
    width: int = 384,
    layers: int = 4,
    heads: int = 6,
    ffn: int = 1536,
    conv_dim: Sequence[int] = (512, 384, 384, 384),
    conv_kernel: Sequence[int] = (400, 1, 3, 3),
    conv_stride: Sequence[int] = (160, 1, 1, 2),
    band_pass: bool = True,
    seed: int = 1,
) -> SpeechEncoder:
    """Build a wav2vec2-shaped encoder of the layer-norm variant with random weights.

    By default its extractor looks at 25 ms every 10 ms, as a spectrogram does, with filters that learn: less than a
    tenth of the work of wav2vec 2.0's seven convolutions, which spend most of theirs at frame rates far above 100 Hz.

    Parameters
    ----------
    folder : str or Path
        Where its config is written (the encoder is then an ordinary local folder).
    width, layers, heads, ffn
        Transformer sizes.
    conv_dim, conv_kernel, conv_stride
        Extractor sizes; the strides multiply to 320 (50 Hz).
    band_pass : bool
        Start the first convolution as a bank of band-pass filters, see `band_pass_filters`.

    Raises
    ------
    UserError
        If the sizes cannot form a network at 50 Hz.
    """
    stride = int(torch.tensor(list(conv_stride)).prod())
    if stride != SpeechEncoder.frame_stride or not len(conv_dim) == len(conv_kernel) == len(conv_stride):
        raise UserError(
            f"the extractor's strides must multiply to 320 and its lists match; got stride {stride}"
        )
    if width % heads:
        raise UserError(f"width {width} is not a multiple of {heads} attention heads")
    config = Wav2Vec2Config(
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=ffn,
        conv_dim=list(conv_dim),
        conv_kernel=list(conv_kernel),
        conv_stride=list(conv_stride),
        conv_bias=True,
        feat_extract_norm="layer",
        do_stable_layer_norm=True,
        num_conv_pos_embeddings=32,
        num_conv_pos_embedding_groups=16,
        hidden_dropout=0.0,
        attention_dropout=0.0,
        activation_dropout=0.0,
        feat_proj_dropout=0.0,
        mask_time_prob=0.0,
        vocab_size=1,
    )
    config.architectures = ["Wav2Vec2Model"]
    config.save_pretrained(folder)
    Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained(folder)
    student = SpeechEncoder(str(folder), pretrained=False, freeze_extractor=False, seed=seed)
    student.mask_vector.requires_grad_(True)
    if band_pass:
        with torch.no_grad():
            first = student.model.feature_extractor.conv_layers[0].conv.weight
            first.copy_(band_pass_filters(first.shape[0], first.shape[2])[:, None])
    return student


def band_pass_filters(count: int, length: int, rate: int = 16000) -> Tensor:
    """Make windowed cosines at centres equally spaced on the mel scale, in four phases each.

    Cosine and sine with both signs let the next layer form a band's magnitude. Higher bands, which carry less energy
    in speech, get larger gains.

    Parameters
    ----------
    count : int
        Number of filters.
    length : int
        Samples per filter.
    rate : int
        Samples per second.

    Returns
    -------
    Tensor
        Shape (count, length).
    """
    bands = math.ceil(count / 4)
    mel = torch.linspace(math.log1p(80 / 700), math.log1p(0.475 * rate / 700), bands)
    centres = 700 * mel.expm1()
    time = torch.arange(length) / rate
    phases = math.pi * torch.arange(4) / 2
    waves = torch.cos(2 * math.pi * centres[:, None, None] * time + phases[:, None]) * torch.hann_window(
        length
    )
    gains = 0.3 + centres / 2000
    filters = waves / waves.norm(dim=-1, keepdim=True).clamp(min=1e-6) * gains[:, None, None]
    return filters.flatten(0, 1)[:count]


def _copy(target: nn.Module, source: nn.Module) -> None:
    """Copy a linear layer or norm; a bias that the source lacks (Whisper's keys) becomes zero."""
    with torch.no_grad():
        target.weight.copy_(source.weight)
        target.bias.zero_() if source.bias is None else target.bias.copy_(source.bias)


def take_layers_(student: SpeechEncoder, teacher: SpeechEncoder, which: Sequence[int]) -> None:
    """Copy whole transformer layers of a Whisper teacher into the student, in place (DistilHuBERT, Section 2).

    Both compute ``x + attention(norm(x))`` then ``x + ffn(norm(x))``, so the copy is exact.

    Parameters
    ----------
    which : sequence of int
        Teacher layer for student layer 0, 1, ...

    Raises
    ------
    UserError
        If the teacher is not a Whisper encoder or the sizes differ.
    """
    if teacher.family != "whisper" or teacher.width != student.width or len(which) > len(student.layers):
        raise UserError(
            "take_layers needs a Whisper teacher of the student's width and no more layers than it has"
        )
    for target, index in zip(student.layers, which, strict=False):
        source = teacher.layers[index]
        for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
            _copy(getattr(target.attention, name), getattr(source.self_attn, name))
        _copy(target.layer_norm, source.self_attn_layer_norm)
        _copy(target.final_layer_norm, source.final_layer_norm)
        _copy(target.feed_forward.intermediate_dense, source.fc1)
        _copy(target.feed_forward.output_dense, source.fc2)
    _copy(student.model.encoder.layer_norm, teacher.model.layer_norm)


def save_half(student: SpeechEncoder, folder: str | Path) -> None:
    """Save the bare encoder in float16, reload it, and check that the outputs agree.

    Raises
    ------
    RuntimeError
        If the reloaded encoder differs by more than float16 rounding explains.
    """
    student.eval()
    half = AutoModel.from_config(student.model.config)
    half.load_state_dict(student.model.state_dict())
    half.half().save_pretrained(folder)
    Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained(folder)
    again = SpeechEncoder(str(folder)).eval()
    wav = torch.randn(1, 16000, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        ours, theirs = (encoder(wav, torch.ones(1)).hidden for encoder in (student.cpu(), again))
    error = (ours - theirs).norm() / ours.norm()
    if not error < 0.02:
        raise RuntimeError(f"the saved backbone differs from the trained one: relative error {error:.3f}")
