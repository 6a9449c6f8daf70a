"""Tools to spoil a model folder with, checksums and all."""

import hashlib
import json
import struct

from safetensors.torch import load_file, save_file

from s3_speechbrain.modelfolder.config import HUGGING_FACE

CONFIG, WEIGHTS = "config.json", "model.safetensors"
CASES = {}


def case(match, name=None):
    """Register a way to spoil a folder, and what the refusal has to say."""

    def register(spoil):
        CASES[name or spoil.__name__] = (spoil, match)
        return spoil

    return register


def edit(folder, change):
    """Change the config as a table."""
    top = json.loads((folder / CONFIG).read_text())
    change(top, top["s3_speechbrain"])
    (folder / CONFIG).write_text(json.dumps(top))


def nest(top, own):
    """Bring the encoder's settings to where they stand if plain transformers cannot run the model."""
    for name in HUGGING_FACE:
        top.pop(name)
    own["encoder"] = {name: top.pop(name) for name in list(top) if name != "s3_speechbrain"}
    return own["encoder"]


def sign(folder):
    """Give the config the size and the checksum of the weights that lie there now."""
    data = (folder / WEIGHTS).read_bytes()

    def change(_top, own):
        own["weights"].update(sha256=hashlib.sha256(data).hexdigest(), bytes=len(data))

    edit(folder, change)


def with_tensors(folder, change):
    """Change the tensors, and sign them: the attacker knows our checksums."""
    tensors = load_file(folder / WEIGHTS)
    change(tensors)
    save_file(tensors, folder / WEIGHTS)
    sign(folder)


def with_header(folder, change):
    """Change the header of the weights as text, and sign them."""
    data = (folder / WEIGHTS).read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    text = change(data[8 : 8 + length].decode())
    (folder / WEIGHTS).write_bytes(struct.pack("<Q", len(text)) + text.encode() + data[8 + length :])
    sign(folder)
