"""A small server that speaks the Hugging Face hub's protocol, as far as models go: for tests, on this machine only.

It keeps the rules that clients run into: large files go through Git LFS (batch, upload, verify) and are answered with
a redirect, commits are lines of JSON, every revision is one of commits, tags or branches, private repositories
do not exist for strangers, and errors carry the hub's ``X-Error-Code``.
"""

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

import yaml

LFS_ENDINGS = (".safetensors", ".ckpt", ".bin", ".flac", ".wav")
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize {}\n"
# Commits are named by content, as Git's are; 40 hexadecimal digits.
NAME_DIGITS = 40


@dataclass
class Repository:
    """Commits with all their files, oldest first."""

    owner: str
    private: bool
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)

    def commit(self, files: dict[str, bytes]) -> str:
        """Add a commit to main and return its name."""
        seed = json.dumps([len(self.commits), {name: sha256(data) for name, data in sorted(files.items())}])
        name = sha256(seed.encode())[:NAME_DIGITS]
        self.commits[name] = files
        self.refs["main"] = name
        return name

    def find(self, revision: str) -> str | None:
        """Return the commit of a branch, tag or commit."""
        return self.refs.get(revision, revision if revision in self.commits else None)


@dataclass
class Hub:
    """All of the server's state: users by token, repositories, objects of LFS, and what was asked for."""

    users: dict[str, str]
    repositories: dict[str, Repository] = field(default_factory=dict)
    objects: dict[str, bytes] = field(default_factory=dict)
    requests: list[tuple[str, str]] = field(default_factory=list)
    endpoint: str = ""


def sha256(data: bytes) -> str:
    """Return the hexadecimal digest."""
    return hashlib.sha256(data).hexdigest()


@contextmanager
def serve(users: dict[str, str]) -> Iterator[Hub]:
    """Run a hub on a free port of this machine while the block runs."""
    hub = Hub(users)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    hub.endpoint = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()


class _RefusedError(Exception):
    def __init__(self, status: int, message: str, code: str = "") -> None:
        super().__init__(message)
        self.status, self.code = status, code


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        """Answer a GET."""
        self._answer(self._get)

    def do_HEAD(self) -> None:
        """Answer a HEAD."""
        self._answer(self._get)

    def do_POST(self) -> None:
        """Answer a POST."""
        self._answer(self._post)

    def do_PUT(self) -> None:
        """Take an object of LFS."""
        self._answer(self._put)

    # Plumbing -------------------------------------------------------------------------------------------

    def _answer(self, action) -> None:
        self.path = unquote(urlsplit(self.path).path)
        self.hub.requests.append((self.command, self.path))
        length = int(self.headers.get("Content-Length") or 0)
        if "chunked" in (self.headers.get("Transfer-Encoding") or ""):
            self.body = b"".join(self._chunks())
        else:
            self.body = self.rfile.read(length)
        try:
            action()
        except _RefusedError as error:
            headers = {"X-Error-Code": error.code, "X-Error-Message": str(error)} if error.code else {}
            self._send(error.status, {"error": str(error)}, headers)

    def _chunks(self) -> Iterator[bytes]:
        while size := int(self.rfile.readline(), 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()

    def _send(self, status: int, body: object, headers: dict[str, str] | None = None) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    @property
    def user(self) -> str | None:
        """Who asks."""
        return self.hub.users.get((self.headers.get("Authorization") or "").removeprefix("Bearer "))

    def _writer(self) -> str:
        if self.user is None:
            raise _RefusedError(401, "Invalid username or password.")
        return self.user

    def _repository(self, name: str, write: bool = False) -> Repository:
        found = self.hub.repositories.get(name)
        if found is None or (found.private and self.user != found.owner):
            raise _RefusedError(404 if self.user else 401, "Repository not found", "RepoNotFound")
        if write and self._writer() != found.owner:
            raise _RefusedError(403, "You are not allowed to write to this repository")
        return found

    def _commit(self, repository: Repository, revision: str) -> str:
        found = repository.find(revision)
        if found is None:
            raise _RefusedError(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return found

    # Reading --------------------------------------------------------------------------------------------

    def _get(self) -> None:
        parts = self.path.strip("/").split("/")
        if parts[0] == "cdn":
            self._send(200, self.hub.objects[parts[1]], {"ETag": f'"{parts[1]}"'})
        elif parts[:2] == ["api", "models"]:
            self._api(f"{parts[2]}/{parts[3]}", parts[4:])
        elif parts[2:3] == ["resolve"]:
            self._resolve(f"{parts[0]}/{parts[1]}", parts[3], "/".join(parts[4:]))
        else:
            raise _RefusedError(404, "Not found")

    def _api(self, name: str, rest: list[str]) -> None:
        repository = self._repository(name)
        commit = self._commit(repository, rest[1] if len(rest) > 1 else "main")
        files = repository.commits[commit]
        if rest[:1] == ["tree"]:
            self._send(200, [self._entry(path, data) for path, data in sorted(files.items())])
            return
        if rest[:1] == ["refs"]:
            refs = {"branches": [], "converts": [], "tags": []}
            for ref, target in repository.refs.items():
                kind = "branches" if ref == "main" else "tags"
                refs[kind].append({"name": ref, "ref": f"refs/{kind}/{ref}", "targetCommit": target})
            self._send(200, refs)
            return
        siblings = [{"rfilename": path} for path in sorted(files)]
        self._send(
            200, {"id": name, "sha": commit, "private": repository.private, "siblings": siblings, "tags": []}
        )

    @staticmethod
    def _entry(path: str, data: bytes) -> dict:
        found = {"type": "file", "path": path, "size": len(data), "oid": sha256(data)[:NAME_DIGITS]}
        if path.endswith(LFS_ENDINGS):
            pointer = len(POINTER.format(sha256(data), len(data)))
            found["lfs"] = {"oid": sha256(data), "size": len(data), "pointerSize": pointer}
        return found

    def _resolve(self, name: str, revision: str, path: str) -> None:
        repository = self._repository(name)
        commit = self._commit(repository, revision)
        data = repository.commits[commit].get(path)
        headers = {"X-Repo-Commit": commit}
        if data is None:
            raise _RefusedError(404, "Entry not found", "EntryNotFound")
        if path.endswith(LFS_ENDINGS):
            digest = sha256(data)
            linked = {"X-Linked-Etag": f'"{digest}"', "X-Linked-Size": str(len(data))}
            elsewhere = self.hub.endpoint.replace(
                "127.0.0.1", "localhost"
            )  # as the hub's storage is another host
            self._send(302, b"", {**headers, **linked, "Location": f"{elsewhere}/cdn/{digest}"})
        else:
            self._send(200, data, {**headers, "ETag": f'"{sha256(data)[:NAME_DIGITS]}"'})

    # Writing --------------------------------------------------------------------------------------------

    def _post(self) -> None:
        parts = self.path.strip("/").split("/")
        if self.path == "/api/repos/create":
            self._create(json.loads(self.body))
        elif self.path == "/api/validate-yaml":
            self._validate(json.loads(self.body)["content"])
        elif self.path.endswith(".git/info/lfs/objects/batch"):
            name = self.path.strip("/").removesuffix(".git/info/lfs/objects/batch")
            self._batch(name, json.loads(self.body)["objects"])
        elif parts[0] == "verify":
            asked = json.loads(self.body)
            if len(self.hub.objects.get(asked["oid"], b"")) != asked["size"]:
                raise _RefusedError(422, "size mismatch")
            self._send(200, {})
        else:
            self._write(f"{parts[2]}/{parts[3]}", *parts[4:6])

    def _create(self, asked: dict) -> None:
        owner = self._writer()
        name = f"{asked.get('organization') or owner}/{asked['name']}"
        if not name.startswith(f"{owner}/"):
            raise _RefusedError(403, "You don't have the rights to create a model under this namespace")
        address = {"url": f"{self.hub.endpoint}/{name}"}
        if name in self.hub.repositories:
            self._send(409, {**address, "error": "You already created this model repo"})
            return
        private = asked.get("visibility") == "private" or bool(asked.get("private"))
        self.hub.repositories[name] = Repository(owner, private)
        self.hub.repositories[name].commit({".gitattributes": b"*.safetensors filter=lfs\n"})
        self._send(200, address)

    def _validate(self, content: str) -> None:
        table = yaml.safe_load(content.split("---")[1]) if content.startswith("---") else None
        if not isinstance(table, dict) or not isinstance(table.get("license"), str):
            self._send(400, {"errors": [{"message": '"license" must be a string'}], "warnings": []})
        else:
            self._send(200, {"errors": [], "warnings": []})

    def _batch(self, name: str, objects: list[dict]) -> None:
        self._repository(name, write=True)
        answers = []
        for one in objects:
            links = {"upload": {"href": f"{self.hub.endpoint}/lfs/{one['oid']}"}}
            links["verify"] = {"href": f"{self.hub.endpoint}/verify/{one['oid']}"}
            known = one["oid"] in self.hub.objects
            answers.append({**one} if known else {**one, "actions": links})
        self._send(200, {"transfer": "basic", "objects": answers})

    def _put(self) -> None:
        digest = self.path.rsplit("/", 1)[1]
        if sha256(self.body) != digest:
            raise _RefusedError(422, "checksum mismatch")
        self.hub.objects[digest] = self.body
        self._send(200, {})

    def _write(self, name: str, what: str, revision: str) -> None:
        repository = self._repository(name, write=True)
        commit = self._commit(repository, revision)
        if what == "preupload":
            files = repository.commits[commit]
            rows = [self._mode(one["path"], files) for one in json.loads(self.body)["files"]]
            self._send(200, {"files": rows})
        elif what == "commit":
            changed = {**repository.commits[commit], **dict(self._lines())}
            made = repository.commit({path: data for path, data in changed.items() if data is not None})
            address = f"{self.hub.endpoint}/{name}/commit/{made}"
            self._send(200, {"success": True, "commitOid": made, "commitUrl": address, "hookOutput": ""})
        else:
            tag = json.loads(self.body)["tag"]
            if tag in repository.refs:
                raise _RefusedError(409, "Tag reference exists already")
            repository.refs[tag] = commit
            self._send(200, {})

    @staticmethod
    def _mode(path: str, files: dict[str, bytes]) -> dict:
        mode = "lfs" if path.endswith(LFS_ENDINGS) else "regular"
        return {"path": path, "uploadMode": mode, "shouldIgnore": False, "oid": None}

    def _lines(self) -> Iterator[tuple[str, bytes | None]]:
        """Give each changed file with its new content, None where it is deleted."""
        for line in self.body.splitlines():
            operation = json.loads(line)
            value = operation["value"]
            if operation["key"] == "file":
                yield value["path"], base64.b64decode(value["content"])
            elif operation["key"] == "lfsFile":
                if value["oid"] not in self.hub.objects:
                    raise _RefusedError(400, "LFS pointer pointed to a file that does not exist")
                yield value["path"], self.hub.objects[value["oid"]]
            elif operation["key"] == "deletedFile":
                yield value["path"], None
