"""An exported file with 8-bit weights: linear layers compute in 8 bits, convolutions are only stored so.

ONNX Runtime has no fast 8-bit kernel for one-dimensional convolutions with activations quantised on the way, so
those compute in float32: their weights are unpacked once, when the file is loaded. What decides about frames
(the token selector) and the head stay as they are; they are small.
"""

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from s3_speechbrain.atomic import write_atomic
from s3_speechbrain.export.graph import require

KEPT = ("/scorer/", "/selector/", "/head/")  # names of nodes begin with the module they come from
LEAST_WEIGHTS = 1024  # of a convolution that is worth packing


def to_eight_bits(source: str | Path, target: str | Path) -> Path:
    """Write an exported file anew with 8-bit weights, one scale per output.

    Parameters
    ----------
    source, target : path
        The float32 file and the new one.

    Returns
    -------
    Path
        The new file; metadata, input and output are as before.
    """
    onnx = require("onnx")
    require("onnxruntime")
    from onnxruntime.quantization import QuantType, quantize_dynamic

    model = onnx.load(str(source))
    kept = [node.name for node in model.graph.node if node.name.startswith(KEPT)]
    with tempfile.TemporaryDirectory() as folder, _quiet():
        made = Path(folder) / "model.onnx"
        quantize_dynamic(
            str(source),
            str(made),
            op_types_to_quantize=["MatMul"],
            nodes_to_exclude=kept,
            per_channel=True,
            weight_type=QuantType.QInt8,
            extra_options={"MatMulConstBOnly": True},  # products of two activations stay float32
        )
        model = onnx.load(str(made))
    pack_convolutions_(model)
    onnx.checker.check_model(model)
    write_atomic(Path(target), model.SerializeToString())
    return Path(target)


def pack_convolutions_(model) -> None:
    """Store the weights of convolutions in 8 bits, in place: ``Cast`` and ``Mul`` unpack them at loading time.

    Parameters
    ----------
    model : onnx.ModelProto
        Weights that no convolution reads, or that the selector does, are left alone.
    """
    import onnx
    from onnx import numpy_helper

    graph = model.graph
    stored = {tensor.name: tensor for tensor in graph.initializer}
    names = {
        node.input[1]
        for node in graph.node
        if node.op_type == "Conv" and node.input[1] in stored and not node.name.startswith(KEPT)
    }
    unpacking = []
    for name in sorted(names):
        weight = numpy_helper.to_array(stored[name])
        if weight.size < LEAST_WEIGHTS:
            continue
        packed, scale = quantise_rows(weight)
        graph.initializer.remove(stored[name])
        graph.initializer.append(numpy_helper.from_array(packed, f"{name}_packed"))
        graph.initializer.append(numpy_helper.from_array(scale, f"{name}_scale"))
        unpacking += [
            onnx.helper.make_node("Cast", [f"{name}_packed"], [f"{name}_cast"], to=onnx.TensorProto.FLOAT),
            onnx.helper.make_node("Mul", [f"{name}_cast", f"{name}_scale"], [name]),
        ]
    for node in reversed(unpacking):
        graph.node.insert(0, node)


def quantise_rows(weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Round a weight to 8 bits, symmetric, with a scale per row (output).

    Returns
    -------
    packed : ndarray
        int8 in -127 to 127, of the weight's shape.
    scale : ndarray
        float32, one value per row with as many axes as the weight; ``packed * scale`` is within half a step.
    """
    axes = tuple(range(1, weight.ndim))
    scale = np.abs(weight).max(axes, keepdims=True).astype(np.float32) / 127
    scale[scale == 0] = 1
    return np.rint(weight / scale).astype(np.int8), scale


@contextmanager
def _quiet() -> Iterator[None]:
    """Hold back the quantiser's advice, given through the root logger, to optimise the graph first."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
