"""Languages as files over one frozen backbone: masks packed to about their entropy, checked when read, switched.

Start with `MaskBank`. The rooms, in reading order:

=====================  ======================================================================
`entry`                what is stored for a language
`fingerprint`          which weights the masks belong to
`packing`, `coding`    bool mask -> bits -> entropy-coded bytes, and back
`header`, `container`  the file: what it says, and what writers and readers share
`writing`, `reading`   whole or not at all; safely
`bank`                 a folder of entries over one backbone
`switching`            bits -> weights of the running encoder
=====================  ======================================================================
"""

from s3_speechbrain.maskbank.bank import MaskBank
from s3_speechbrain.maskbank.entry import Backbone, Entry, PackedEntry
from s3_speechbrain.maskbank.fingerprint import fingerprint
from s3_speechbrain.maskbank.packing import PackedMask
from s3_speechbrain.maskbank.reading import read_entry, read_header, read_packed
from s3_speechbrain.maskbank.switching import MaskSwitch
from s3_speechbrain.maskbank.writing import entry_bytes, write_entry

__all__ = [
    "Backbone",
    "Entry",
    "MaskBank",
    "MaskSwitch",
    "PackedEntry",
    "PackedMask",
    "entry_bytes",
    "fingerprint",
    "read_entry",
    "read_header",
    "read_packed",
    "write_entry",
]
