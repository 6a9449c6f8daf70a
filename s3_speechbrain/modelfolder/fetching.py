"""Model folders and mask banks from the hub: data files only, of a revision that can be pinned."""

from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from s3_speechbrain.errors import UserError

# What this project reads or shows; never code, pickles or YAML.
DATA_FILES = ("*.json", "*.safetensors", "README.md", "*.wav", "*.flac")


def fetch(name: str, revision: str | None = None, cache: str | Path | None = None) -> Path:
    """Download the data files of a model folder or mask bank from the Hugging Face hub, or find them in its cache.

    Parameters
    ----------
    name : str
        ``owner/name``.
    revision : str, optional
        Tag, branch or commit; only a commit names the same files for ever.
    cache : path, optional
        Default the hub's own cache.

    Returns
    -------
    Path
        The folder, to be read with `read_model`.

    Raises
    ------
    UserError
        If the name, the revision or the network is not there, or the repository is not open to this user.
    """
    at = f"{name} (revision {revision})" if revision else name
    try:
        return Path(
            snapshot_download(name, revision=revision, cache_dir=cache, allow_patterns=list(DATA_FILES))
        )
    except (GatedRepoError, RepositoryNotFoundError):
        reason = "it does not exist, or is private: check the name, or log in with hf auth login"
    except RevisionNotFoundError:
        reason = "there is no such revision: give a tag, branch or commit of it"
    except HFValidationError:
        reason = "this is no name of the hub: give owner/name"
    except LocalEntryNotFoundError:
        reason = "it is not in the cache, and the hub cannot be reached: go online once, or give a folder"
    except (HfHubHTTPError, OSError) as error:
        reason = f"{' '.join(str(error).split())[:200]}: try again later"
    raise UserError(f"cannot fetch {at}: {reason}")
