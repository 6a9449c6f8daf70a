"""A folder of languages over one backbone."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import torch

from s3_speechbrain.atomic import flush
from s3_speechbrain.errors import UserError
from s3_speechbrain.maskbank.entry import Backbone, Entry, PackedEntry, is_language
from s3_speechbrain.maskbank.header import Header, RefusedError, parse_backbone, parse_json
from s3_speechbrain.maskbank.links import leads_out
from s3_speechbrain.maskbank.reading import read_packed
from s3_speechbrain.maskbank.writing import publish, serialise

FORMAT = 1
SUFFIX = ".safetensors"
_MOST_BYTES = 1 << 16


class MaskBank:
    """A folder with ``bank.json`` (which backbone) and one file per language.

    The files know nothing of each other: adding, replacing or removing one leaves the bytes of all others as
    they are, and any of them can be copied into another bank over the same backbone.

    Parameters
    ----------
    folder : path
        Made by the first `add`.

    Raises
    ------
    UserError
        If the folder is a file, or its ``bank.json`` is damaged.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        if self.folder.exists() and not self.folder.is_dir():
            raise UserError(f"{folder} is not a folder: give the folder of a mask bank, or of a new one")
        self.backbone: Backbone | None = self._read_backbone()

    @property
    def languages(self) -> list[str]:
        """The languages of the bank, sorted."""
        found = self.folder.glob(f"*{SUFFIX}")
        return sorted(file.stem for file in found if is_language(file.stem))

    def path(self, language: str) -> Path:
        """Return where a language's file is or will be.

        Raises
        ------
        UserError
            If the name is not a language code, or is a link that leads out of the bank.
        """
        if not is_language(language):
            raise UserError(f"{language!r} is not a language code: use letters, digits, - and _, as in sv-SE")
        return self._inside(language + SUFFIX)

    def add(self, entry: Entry, replace: bool = False, head_dtype: torch.dtype = torch.float32) -> int:
        """Write a language into the bank; every other file stays as it is, byte for byte.

        Parameters
        ----------
        entry : Entry
            Made over the bank's backbone; the first entry decides which that is.
        replace : bool
            Overwrite the language if it is there.
        head_dtype : torch.dtype
            As for `write_entry`.

        Returns
        -------
        int
            Bytes written.

        Raises
        ------
        UserError
            If the language is there already, the backbone is another one, or the entry is not sound.
        """
        path = self.path(entry.language)
        if self.backbone is None:  # another process may have begun the bank since
            self.backbone = self._read_backbone()
        self._check_backbone(entry.backbone, f"the entry of {entry.language!r}")
        if path.exists() and not replace:
            raise UserError(
                f"{path} exists: pass replace=True to train the language anew, or remove it first"
            )
        data = serialise(
            entry, head_dtype
        )  # which checks it: a bank is not begun with an entry that is unsound
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.backbone is None:
            self._begin(entry.backbone)
        return publish(path, data)

    def read(self, language: str) -> Entry:
        """Read and check a language.

        Raises
        ------
        UserError
            If the bank has no such language, or its file is damaged, of another language or of another backbone.
        """
        return self.read_packed(language).unpack()

    def read_packed(self, language: str, accept: Callable[[Header], None] | None = None) -> PackedEntry:
        """Read a language with its masks at one bit per weight; see `reading.read_packed`."""
        path = self.existing(language)

        def check(header: Header) -> None:
            self.check_header(header, language)
            if accept is not None:
                accept(header)

        return read_packed(path, check)

    def existing(self, language: str) -> Path:
        """Return the file of a language that is in the bank, or say which ones are."""
        path = self.path(language)
        if not path.exists():
            known = ", ".join(self.languages) or "none"
            raise UserError(f"{self.folder} has no language {language!r}: choose one of {known}, or train it")
        return path

    def check_header(self, header: Header, language: str) -> None:
        """Refuse a header of another language or another backbone."""
        if header.language != language:
            raise UserError(
                f"{self.path(language)} holds {header.language!r}, not {language!r}: give it its own name back"
            )
        self._check_backbone(header.backbone, str(self.path(language)))

    def remove(self, language: str) -> None:
        """Delete a language's file; the others stay."""
        self.existing(language).unlink()
        flush(self.folder)

    def _begin(self, backbone: Backbone) -> None:
        about = {"format": FORMAT, "backbone": asdict(backbone)}
        publish(self._inside("bank.json"), (json.dumps(about, indent=2) + "\n").encode())
        self.backbone = self._read_backbone()  # of two processes that begin at once, the last one decides
        self._check_backbone(backbone, "the new bank")

    def _check_backbone(self, backbone: Backbone, what: str) -> None:
        ours = self.backbone
        if ours is not None and backbone.fingerprint != ours.fingerprint:
            raise UserError(
                f"{what} was made for another backbone ({backbone.source}, {backbone.fingerprint[:12]}) than "
                f"{self.folder} ({ours.source}, {ours.fingerprint[:12]}): use a bank of its own for it"
            )

    def _inside(self, name: str) -> Path:
        path = self.folder / name
        if leads_out(self.folder, path):
            raise UserError(f"{path} is a link that leads out of the bank: put the file itself there")
        return path

    def _read_backbone(self) -> Backbone | None:
        path = self._inside("bank.json")
        if not path.exists():
            return None
        try:
            if not path.is_file() or path.stat().st_size > _MOST_BYTES:
                raise RefusedError("it is no small file")
            about = parse_json(path.read_text(encoding="utf-8"))
            if about.get("format") != FORMAT or about.keys() != {"format", "backbone"}:
                raise RefusedError(f"its format is {about.get('format')!r}, this version reads {FORMAT}")
            return parse_backbone(about["backbone"])
        except (RefusedError, OSError, UnicodeDecodeError) as error:
            raise UserError(f"{path} is refused: {error}; get the bank again") from None
