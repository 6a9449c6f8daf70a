"""A trained recogniser as ONNX files, checked against PyTorch and measured side by side.

Nothing is imported here: a device that runs an exported file imports `runtime` alone, which needs numpy and
onnxruntime, no torch.

===============  =========================================================================
`graph`          a recogniser to an ONNX file, waveform to logits in one graph
`eight_bits`     that file with 8-bit weights
`runtime`        running such a file: waveform to text
`parity`         an exported file against the recogniser, clip by clip
`worker`         one variant in a process of its own, told and asked line by line
`comparison`     all variants side by side: latency, real-time factor, memory, size, errors
`command`        all of this: ``python -m s3_speechbrain.export``
===============  =========================================================================
"""
