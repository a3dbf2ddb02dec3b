"""Who may call what: bearer tokens with scopes, kept as hashes.

Without a tokens file every call is allowed. With one, every method but health needs a
token that has the method's scope. A method without a scope in the table is denied, and a
test proves that no method is without one.
"""

import hashlib
import hmac
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from forwardpass.errors import PermissionDeniedError, UnauthenticatedError

from forwardpass_server.serving import Method

OPEN: Final = "open"
TRACE: Final = "trace"
SCOPES: Final = ("predict", TRACE, "read", "write")

_NETWORKS: Final = "/forwardpass.v1.NetworkService/"
_PREDICTIONS: Final = "/forwardpass.v1.PredictionService/"
_INFERENCE: Final = "/inference.GRPCInferenceService/"

POLICY: Final[dict[str, str]] = {
    f"{_PREDICTIONS}Predict": "predict",
    f"{_PREDICTIONS}PredictMany": "predict",
    f"{_PREDICTIONS}PredictStream": "predict",
    f"{_PREDICTIONS}Trace": TRACE,
    f"{_NETWORKS}GetNetwork": "read",
    f"{_NETWORKS}ListNetworks": "read",
    f"{_NETWORKS}ListVersions": "read",
    f"{_NETWORKS}WatchNetworks": "read",
    f"{_NETWORKS}ListAliasMoves": "read",
    f"{_NETWORKS}ListShadows": "read",
    f"{_NETWORKS}RegisterNetwork": "write",
    f"{_NETWORKS}UploadNetwork": "write",
    f"{_NETWORKS}DeleteNetwork": "write",
    f"{_NETWORKS}DeleteVersion": "write",
    f"{_NETWORKS}SetAlias": "write",
    f"{_NETWORKS}RollbackAlias": "write",
    f"{_NETWORKS}SetShadow": "write",
    f"{_NETWORKS}ClearShadow": "write",
    f"{_NETWORKS}DeleteAlias": "write",
    f"{_INFERENCE}ServerLive": OPEN,
    f"{_INFERENCE}ServerReady": OPEN,
    f"{_INFERENCE}ServerMetadata": OPEN,
    f"{_INFERENCE}ModelReady": "read",
    f"{_INFERENCE}ModelMetadata": "read",
    f"{_INFERENCE}ModelConfig": "read",
    f"{_INFERENCE}ModelStatistics": "read",
    f"{_INFERENCE}RepositoryIndex": "read",
    f"{_INFERENCE}ModelInfer": "predict",  # and TRACE for what layers compute: `Guard.kind_for`
    f"{_INFERENCE}ModelStreamInfer": "predict",
    f"{_INFERENCE}RepositoryModelLoad": "write",
    f"{_INFERENCE}RepositoryModelUnload": "write",
    f"{_INFERENCE}TraceSetting": "write",
    f"{_INFERENCE}LogSettings": "write",
    "/grpc.health.v1.Health/Check": OPEN,
    "/grpc.health.v1.Health/List": OPEN,
    "/grpc.health.v1.Health/Watch": OPEN,
}
"""The scope that each method needs."""


class TokensFileError(Exception):
    """The tokens file cannot be used; the sentence says which line and why."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Token:
    """One line of the tokens file: the SHA-256 of a token, and what it allows."""

    sha256: bytes
    scopes: frozenset[str]


class Guard:
    """Decides whether a call may go on, before anything about its subject is revealed."""

    def __init__(self, tokens: tuple[Token, ...] | None) -> None:
        self._tokens = tokens

    @classmethod
    def from_file(cls, path: Path | None) -> "Guard":
        """Read a tokens file, or with None allow every call.

        Each line is the SHA-256 of a token in hexadecimal, then its scopes, comma-separated:
        `predict`, `trace`, `read`, `write`. Empty lines and lines that begin with # are skipped.

        Raises:
            TokensFileError: The file cannot be read or a line is not of that form.
        """
        if path is None:
            return cls(None)
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise TokensFileError(f"the tokens file {path} cannot be read: {error}") from None
        return cls(
            tuple(
                _token(line, f"{path}:{number}")
                for number, line in enumerate(lines, start=1)
                if line.strip() and not line.startswith("#")
            )
        )

    @property
    def closed(self) -> bool:
        """Whether there are calls that need a token."""
        return self._tokens is not None

    def check(self, method: str, token: str | None) -> None:
        """Let an allowed call pass.

        Raises:
            UnauthenticatedError: There is no token, or none that is known.
            PermissionDeniedError: The token lacks the method's scope.
        """
        if self._tokens is None:
            return
        scope = POLICY.get(method)
        if scope == OPEN:
            return
        known = self._find(token) if token else None
        if known is None:
            raise UnauthenticatedError(
                "a token is needed: send the metadata `authorization: Bearer TOKEN`", method=method
            )
        if scope not in known.scopes:
            raise PermissionDeniedError(
                f"the token lacks the scope {scope or 'of this method'!r}", method=method, scope=scope or ""
            )

    def kind_for(self, kind: Method, token: str | None) -> Method:
        """Return how to read the calls of a hot method for a caller who may make them: with traces or without."""
        if kind.inside is None:
            return kind
        if self._tokens is None:
            return kind.inside
        known = self._find(token) if token else None
        return kind.inside if known is not None and TRACE in known.scopes else kind

    def _find(self, token: str) -> Token | None:
        digest = hashlib.sha256(token.encode()).digest()
        found = None
        for known in self._tokens or ():
            # Every entry is compared, so that the time says nothing about which one matched.
            if hmac.compare_digest(known.sha256, digest):
                found = known
        return found


def _token(line: str, place: str) -> Token:
    fields = line.split()
    if len(fields) != 2 or not re.fullmatch(r"[0-9a-fA-F]{64}", fields[0]):
        raise TokensFileError(f"{place}: needed is the SHA-256 of a token (64 hexadecimal digits) and scopes")
    scopes = frozenset(fields[1].split(","))
    if not scopes <= set(SCOPES):
        unknown = ", ".join(sorted(scopes - set(SCOPES)))
        raise TokensFileError(f"{place}: unknown scope {unknown}; known are {', '.join(SCOPES)}")
    return Token(sha256=bytes.fromhex(fields[0]), scopes=scopes)
