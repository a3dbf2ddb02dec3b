"""Authorization: bearer tokens with scopes, kept as hashes.

Without a tokens file every call is allowed. With one, a call needs a token that has the scope of its method,
which the protos declare (`protos/forwardpass/v1/options.proto`). A method without a scope is denied. Names of networks
are shown to callers with the scope `read` only.
"""

import hashlib
import hmac
import re
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from forwardpass.errors import NetworkNotFoundError, PermissionDeniedError, UnauthenticatedError
from forwardpass.method_options import path_of, scope_of

from forwardpass_server.serving import Method

if TYPE_CHECKING:
    from google.protobuf.descriptor import ServiceDescriptor

OPEN: Final = "open"
READ: Final = "read"
TRACE: Final = "trace"
SCOPES: Final = ("predict", TRACE, READ, "write")


def declared_scopes(services: "Iterable[ServiceDescriptor]") -> dict[str, str]:
    """Return the scope that each method of some services needs, by the method's path, as their protos declare it."""
    return {path_of(method): scope for service in services for method in service.methods if (scope := scope_of(method))}


class TokensFileError(Exception):
    """The tokens file cannot be used; the sentence says which line and why."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Token:
    """One line of the tokens file: the SHA-256 of a token, and what it allows."""

    sha256: bytes
    scopes: frozenset[str]


class Guard:
    """Decides whether a call may go on, before anything about its subject is revealed."""

    def __init__(self, tokens: tuple[Token, ...] | None, scopes: Mapping[str, str] = MappingProxyType({})) -> None:
        """Make a guard.

        Args:
            tokens: The tokens that are known, or None to allow every call.
            scopes: The scope that each method needs, by its path; a method without one is denied.
        """
        self._tokens = tokens
        self._scopes = scopes

    @classmethod
    def from_file(cls, path: Path | None, scopes: Mapping[str, str]) -> "Guard":
        """Read a tokens file, or with None allow every call.

        Each line is the SHA-256 of a token in hexadecimal, then its scopes, comma-separated:
        `predict`, `trace`, `read`, `write`. Empty lines and lines that begin with # are skipped.

        Raises:
            TokensFileError: The file cannot be read, every user of the machine can, or a line is not of that form.
        """
        if path is None:
            return cls(None, scopes)
        try:
            _check_private(path.resolve(strict=True))
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise TokensFileError(f"the tokens file {path} cannot be read: {error}") from None
        return cls(
            tuple(
                _token(line, f"{path}:{number}")
                for number, line in enumerate(lines, start=1)
                if line.strip() and not line.startswith("#")
            ),
            scopes,
        )

    @property
    def closed(self) -> bool:
        """Whether there are calls that need a token."""
        return self._tokens is not None

    def check(self, method: str, token: str | None) -> None:
        """Admit a call that its token allows.

        Raises:
            UnauthenticatedError: There is no token, or none that is known.
            PermissionDeniedError: The token lacks the method's scope.
        """
        if self._tokens is None:
            return
        scope = self._scopes.get(method)
        if scope != OPEN:
            self._check_scope(scope, method, token)

    def check_read(self, method: str, token: str | None) -> None:
        """Admit a call that may learn which networks there are; raises as `check` does."""
        if self._tokens is not None:
            self._check_scope(READ, method, token)

    def caller(self, token: str | None, peer: str) -> str:
        """Return who makes a call, as far as the server's time is shared: a token, else an address."""
        if self._tokens is not None and token:
            known = self._find(token)
            if known is not None:
                return f"token:{known.sha256.hex()[:16]}"
        return peer.rpartition(":")[0]

    def without_names(self, error: Exception, token: str | None) -> Exception:
        """Return an error as a caller may see it: the names of other networks are for callers with the scope `read`."""
        if self._tokens is None or not isinstance(error, NetworkNotFoundError) or not error.facts.get("nearest"):
            return error
        known = self._find(token) if token else None
        if known is not None and READ in known.scopes:
            return error
        message, _, _ = error.message.rpartition("; did you mean")
        facts: dict[str, Any] = {**error.facts, "nearest": ""}
        return NetworkNotFoundError(message, **facts)

    def _check_scope(self, scope: str | None, method: str, token: str | None) -> None:
        known = self._find(token) if token else None
        if known is None:
            raise UnauthenticatedError(
                "a token is needed: send the metadata `authorization: Bearer TOKEN`", method=method
            )
        if scope not in known.scopes:
            raise PermissionDeniedError(
                f"the token lacks the scope {scope or 'of this method'!r}", method=method, scope=scope or ""
            )

    def method_for(self, method: Method, token: str | None) -> Method:
        """Return a method as it is for a caller who may call it: with access to layers or without."""
        if method.with_layer_access is None:
            return method
        if self._tokens is None:
            return method.with_layer_access
        known = self._find(token) if token else None
        return method.with_layer_access if known is not None and TRACE in known.scopes else method

    def _find(self, token: str) -> Token | None:
        digest = hashlib.sha256(token.encode()).digest()
        found = None
        for known in self._tokens or ():
            # Every entry is compared, so that the time says nothing about which one matched.
            if hmac.compare_digest(known.sha256, digest):
                found = known
        return found


def _check_private(path: Path) -> None:
    """Reject a file that every user of the machine can read or write, as its folders permit.

    Raises:
        TokensFileError: They can.
        OSError: The file or a folder cannot be looked at.
    """
    if not path.stat().st_mode & (stat.S_IROTH | stat.S_IWOTH):
        return
    if all(folder.stat().st_mode & stat.S_IXOTH for folder in path.parents):
        raise TokensFileError(
            f"every user of this machine can read or write the tokens file {path}: run `chmod o= {path}`"
        )


def _token(line: str, place: str) -> Token:
    fields = line.split()
    if len(fields) != 2 or not re.fullmatch(r"[0-9a-fA-F]{64}", fields[0]):
        raise TokensFileError(f"{place}: must be the SHA-256 of a token (64 hexadecimal digits) and scopes")
    scopes = frozenset(fields[1].split(","))
    if not scopes <= set(SCOPES):
        unknown = ", ".join(sorted(scopes - set(SCOPES)))
        raise TokensFileError(f"{place}: unknown scope {unknown}; known are {', '.join(SCOPES)}")
    return Token(sha256=bytes.fromhex(fields[0]), scopes=scopes)
