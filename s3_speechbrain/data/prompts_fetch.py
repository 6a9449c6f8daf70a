"""Download the prompts: Debian packages without root, or the upstream tarballs."""

import os
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from s3_speechbrain.data.prompts_catalogue import DEBIAN_VERSION, UPSTREAM_URL
from s3_speechbrain.data.prompts_source import archives, debian_packages, sha256_of, tarball_name
from s3_speechbrain.errors import UserError

TIMEOUT_SECONDS = 60
# The smallest of the tarballs is near 10 MB; an error page sent with status 200 is far below this.
SMALLEST_TARBALL = 2_000_000


def fetch(languages: Sequence[str], folder: Path, method: str | None = None, progress: bool = True) -> None:
    """Bring each language's archives into a folder, unless they are there.

    Parameters
    ----------
    languages : sequence of str
        Which ones.
    folder : Path
        Where they stay, so that the next run needs no network.
    method : {None, "debian", "upstream"}
        None tries Debian's packages first and then the tarballs.
    progress : bool
        Show a progress bar while downloading.

    Raises
    ------
    UserError
        Nothing worked; tells what was tried and what to do by hand.
    """
    folder.mkdir(parents=True, exist_ok=True)
    missing = [language for language in languages if not is_fetched(folder, language)]
    if not missing:
        return
    if progress:
        print(f"fetching the prompts ({' '.join(missing)}) into {folder}", file=sys.stderr)
    failures = []
    if method in (None, "debian"):
        failures.append(fetch_debian(missing, folder))
        if failures[-1] is None:
            return
    if method in (None, "upstream"):
        failures.append(fetch_upstream(missing, folder, progress))
        if failures[-1] is None:
            return
    names = " ".join(name for language in missing for name in debian_packages(language))
    raise UserError(
        f"cannot fetch the prompts ({'; '.join(map(str, failures))}): check the network, or run "
        f"'apt-get download {names}' on a Debian machine and name that folder with --source"
    )


def is_fetched(folder: Path, language: str) -> bool:
    """Say whether a folder holds a language's archives; a damaged package of the known version is removed."""
    known = debian_packages(language)
    for package, checksum in known.items():
        path = folder / f"{package}_{DEBIAN_VERSION}_all.deb"
        # Ubuntu's packages have the same name but other bytes: only one that dpkg cannot read is bad.
        if path.exists() and sha256_of(path) != checksum and not readable(path):
            path.unlink()
    partly = sum(bool(list(folder.glob(f"{package}_*.deb"))) for package in known)
    return partly == len(known) or (partly == 0 and bool(archives(folder, language)))


def readable(package: Path) -> bool:
    """Say whether dpkg can list a package to its end."""
    if shutil.which("dpkg") is None:
        return True
    return subprocess.run(["dpkg", "-c", str(package)], capture_output=True).returncode == 0


def fetch_debian(languages: Sequence[str], folder: Path) -> str | None:
    """Fetch with `apt-get download`; returns None, or in a few words why it did not work."""
    if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
        return "this machine has no apt-get and dpkg"
    packages = [name for language in languages for name in debian_packages(language)]
    # Next to the target, so that a finished download moves in one step and a broken one is never found there.
    with tempfile.TemporaryDirectory(dir=folder, prefix="part-") as part:
        # apt hands downloads to its own user where it can; a folder it may not enter only makes it warn.
        reason = run_apt(["download", *packages], part)
        if reason and "Unable to locate" in reason and os.geteuid() == 0:
            reason = run_apt(["update"], part) or run_apt(["download", *packages], part)
        if reason:
            if "Unable to locate" in reason:
                reason += " (run 'sudo apt-get update' once if the package lists are missing)"
            return f"apt-get: {reason}"
        for path in sorted(Path(part).glob("*.deb")):
            os.replace(path, folder / path.name)
    return None


def run_apt(arguments: Sequence[str], folder: str) -> str | None:
    """Run apt-get in a folder; returns its first error line, or None."""
    environment = os.environ | {"LC_ALL": "C"}
    done = subprocess.run(
        ["apt-get", "-q", *arguments], cwd=folder, env=environment, capture_output=True, text=True
    )
    if done.returncode == 0:
        return None
    errors = [line[2:].strip() for line in done.stderr.splitlines() if line.startswith("E:")]
    return errors[0] if errors else f"failed with status {done.returncode}"


def fetch_upstream(languages: Sequence[str], folder: Path, progress: bool = True) -> str | None:
    """Fetch the tarballs; returns None, or in a few words why it did not work."""
    for language in languages:
        name = tarball_name(language)
        part = folder / f"{name}.part"
        try:
            size, expected = download(f"{UPSTREAM_URL}/{name}", part, progress)
        except (urllib.error.URLError, OSError) as error:
            part.unlink(missing_ok=True)
            return f"{UPSTREAM_URL}/{name}: {getattr(error, 'reason', error)}"
        if size < SMALLEST_TARBALL or (expected and size != expected):
            part.unlink()
            return f"{UPSTREAM_URL}/{name}: {size} bytes came, {expected or 'several million'} expected"
        os.replace(part, folder / name)
    return None


def download(url: str, target: Path, progress: bool) -> tuple[int, int]:
    """Copy an address to a file; returns the bytes written and those announced (0 if not)."""
    with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as answer, target.open("wb") as stream:
        expected = int(answer.headers.get("Content-Length") or 0)
        bar = tqdm(total=expected or None, desc=target.stem, unit="B", unit_scale=True, disable=not progress)
        with bar:
            while block := answer.read(1 << 16):
                stream.write(block)
                bar.update(len(block))
        return stream.tell(), expected
