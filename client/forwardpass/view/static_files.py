"""The files of the page, in memory: what `make page` builds from client/page."""

import gzip
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import PurePosixPath
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

INDEX: Final = "index.html"

_MEDIA_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".wasm": "application/wasm",
    ".woff2": "font/woff2",
}
_COMPRESSED: Final = frozenset({".css", ".html", ".js", ".json", ".svg", ".txt", ".wasm"})
_FOREVER: Final = "public, max-age=31536000, immutable"
"""For files whose names have a hash of their content: they never change."""
_ASK_AGAIN: Final = "no-cache"


@dataclass(frozen=True, kw_only=True, slots=True)
class StaticFile:
    """A file of the page.

    Attributes:
        content: Its bytes.
        compressed: Its bytes compressed by gzip, or None where that is of no use.
        headers: The headers of a response with it.
    """

    content: bytes = field(repr=False)
    compressed: bytes | None = field(repr=False)
    headers: Mapping[str, str]

    def response(self, request: Request) -> Response:
        """Return the response to a request for the file."""
        if self.headers["etag"] in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=self.headers)
        if self.compressed is not None and "gzip" in request.headers.get("accept-encoding", ""):
            return Response(self.compressed, headers={**self.headers, "content-encoding": "gzip"})
        return Response(self.content, headers=self.headers)


def load_static_files() -> dict[str, StaticFile]:
    """Read the files; their paths are relative, for example `assets/index-2f1c.js`."""
    return {path: _static_file(path, file.read_bytes()) for path, file in _walk(files(__package__) / "static", "")}


def _walk(folder: Traversable, prefix: str) -> Iterator[tuple[str, Traversable]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _walk(entry, f"{prefix}{entry.name}/")
        elif PurePosixPath(entry.name).suffix in _MEDIA_TYPES:
            yield f"{prefix}{entry.name}", entry


def _static_file(path: str, content: bytes) -> StaticFile:
    suffix = PurePosixPath(path).suffix
    compressed = gzip.compress(content, mtime=0) if suffix in _COMPRESSED else None
    headers = {
        "cache-control": _FOREVER if path.startswith("assets/") else _ASK_AGAIN,
        "content-type": _MEDIA_TYPES[suffix],
        "etag": f'"{hashlib.sha256(content).hexdigest()[:32]}"',
        "vary": "accept-encoding",
    }
    return StaticFile(content=content, compressed=compressed, headers=headers)
