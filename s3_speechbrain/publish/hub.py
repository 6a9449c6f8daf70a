"""Upload to the Hugging Face hub: nothing is sent unless asked for, and tokens are never shown or stored."""

import glob
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import HfApi, get_token
from huggingface_hub.errors import (
    HfHubHTTPError,
    HFValidationError,
    LocalTokenNotFoundError,
    RepositoryNotFoundError,
)
from huggingface_hub.utils import validate_repo_id

from s3_speechbrain.errors import UserError
from s3_speechbrain.modelfolder.replacing import BANK_FILE, is_generated
from s3_speechbrain.publish.source import BANK, find_source

PATIENCE_S = 10
# Its bases are what the client of this version of huggingface_hub raises without a network.
UNREACHABLE = (OSError, *HfHubHTTPError.__bases__)


@dataclass(frozen=True)
class Upload:
    """What is or would be uploaded.

    Attributes
    ----------
    name : str
        The repository, ``owner/name``.
    files : tuple of (str, int)
        Names and bytes.
    private : bool
        Whether a repository that is made new is private.
    tag : str or None
        Of the new revision.
    url : str or None
        Where it is now; None for a dry run.
    commit : str or None
        Its revision, which can be pinned.
    deletions : tuple of str or None
        Files of an earlier version, made by this project, that this one lacks; they are deleted there, as loaders
        would take them for a part of this one. None if the hub could not be asked.
    """

    name: str
    files: tuple[tuple[str, int], ...]
    private: bool
    tag: str | None
    url: str | None = None
    commit: str | None = None
    deletions: tuple[str, ...] | None = ()

    def __str__(self) -> str:
        """Show it as a few lines."""
        rows = [f"  {size:>13,d}  {name}" for name, size in self.files]
        kind = "private" if self.private else "public"
        total = sum(size for _, size in self.files)
        tag = f", tag {self.tag}" if self.tag else ""
        head = f"{self.name} ({kind} if new{tag}): {len(rows)} files, {total:,d} bytes"
        gone = [f"  {'deleted':>13}  {name}" for name in self.deletions or ()]
        if self.deletions is None:
            gone = [
                "files of an earlier version that are none of these will be deleted; the hub could not be asked"
            ]
        last = "dry run: nothing was sent" if self.url is None else f"{self.url} at revision {self.commit}"
        return "\n".join([head, *rows, *gone, last])


def upload(
    folder: str | Path,
    name: str,
    *,
    private: bool = False,
    tag: str | None = None,
    message: str | None = None,
    token: str | None = None,
    dry_run: bool = True,
) -> Upload:
    """Upload a published folder; by default only say what would be sent.

    Parameters
    ----------
    folder : path
        As written by `publish`.
    name : str
        ``owner/name``; made if it does not exist.
    private : bool
        Whether a new repository is private.
    tag : str, optional
        A name for the new revision, such as ``v1.0``.
    message : str, optional
        Of the commit.
    token : str, optional
        Default that of ``HF_TOKEN`` or ``hf auth login``. It is passed on and not kept.
    dry_run : bool
        Send nothing.

    Returns
    -------
    Upload
        What was or would be sent.

    Raises
    ------
    UserError
        If the folder is none to publish, the name is impossible, or the hub refuses.
    """
    folder = Path(folder)
    files = publishable_files(folder)
    if not is_repository(name):
        raise UserError(f"{name!r} is no name of a repository: give owner/name")
    api = HfApi(token=token)
    if dry_run:
        return Upload(name, files, private, tag, deletions=_known_leftovers(api, name, files))
    try:
        api.create_repo(name, private=private, exist_ok=True)
        if tag and tag in {one.name for one in api.list_repo_refs(name).tags}:
            raise UserError(f"{name} has the tag {tag} already, and nothing was sent: choose another --tag")
        gone = _leftovers(api, name, files)
        made = api.upload_folder(
            repo_id=name,
            folder_path=folder,
            allow_patterns=[path for path, _ in files],
            delete_patterns=[glob.escape(path) for path in gone],
            commit_message=message or "Upload a recogniser with s3_speechbrain",
        )
        if tag:
            api.create_tag(name, tag=tag, revision=made.oid, exist_ok=False)
    except LocalTokenNotFoundError:
        raise UserError("you are not logged in: run hf auth login, or set HF_TOKEN") from None
    except HfHubHTTPError as error:
        raise UserError(_reason(name, error)) from None
    except ValueError as error:  # the hub's own check of the card
        raise UserError(f"the hub refuses the card: {' '.join(str(error).split())[:200]}") from None
    except UNREACHABLE as error:
        raise UserError(f"the hub cannot be reached ({type(error).__name__}): try again later") from None
    return Upload(name, files, private, tag, f"{api.endpoint}/{name}", made.oid, gone)


def is_repository(name: str) -> bool:
    """Tell whether a name has the form ``owner/name`` of the hub."""
    try:
        validate_repo_id(name)
    except HFValidationError:
        return False
    return "/" in name


def _leftovers(api: HfApi, name: str, files: tuple[tuple[str, int], ...]) -> tuple[str, ...]:
    """Return the files of a repository that `publish` made for an earlier version and this one does not replace."""
    there = {one.rfilename for one in api.model_info(name, timeout=PATIENCE_S).siblings or ()}
    kinds = (False, True) if BANK_FILE in there else (False,)
    old = sorted(there - {path for path, _ in files})
    return tuple(path for path in old if any(is_generated(path, bank) for bank in kinds))


def _known_leftovers(api: HfApi, name: str, files: tuple[tuple[str, int], ...]) -> tuple[str, ...] | None:
    try:
        return _leftovers(api, name, files)
    except RepositoryNotFoundError:  # it is new, or hides from strangers
        return () if api.token or get_token() else None
    except UNREACHABLE:
        return None


def _reason(name: str, error: HfHubHTTPError) -> str:
    """Say in one line what the hub answered; its text may quote the request but never the token."""
    status = getattr(error.response, "status_code", None)
    if status in (401, 403):
        return f"the hub does not let you write to {name}: log in with hf auth login as one who may"
    if status == 409:
        return f"{name} has that tag already, or changed meanwhile: choose another tag, or try again"
    said = error.server_message or type(error).__name__
    return f"the hub refuses {name} ({status}: {' '.join(said.split())[:200]})"


def publishable_files(folder: Path) -> tuple[tuple[str, int], ...]:
    """Return the files of a published folder with their sizes; hidden files and links out of it are left out.

    Raises
    ------
    UserError
        If it has no card, or is no model folder and no mask bank.
    """
    source = find_source(folder)
    if source.folder != folder or not (folder / "README.md").is_file():
        raise UserError(f"{folder} is not ready to be uploaded: publish a run into a folder first")
    top = folder.resolve()
    found = [
        path for path in sorted(folder.rglob("*")) if path.is_file() and path.resolve().is_relative_to(top)
    ]
    names = [(path.relative_to(folder).as_posix(), path.stat().st_size) for path in found]
    depth = 1 if source.kind == BANK else 0  # a bank may carry its backbone in a folder
    return tuple(
        (name, size)
        for name, size in names
        if name.count("/") <= depth and not any(part.startswith(".") for part in name.split("/"))
    )
