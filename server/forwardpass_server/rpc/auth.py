"""Authorization: bearer tokens, kept as hashes, and client certificates, with scopes and limits.

Without a tokens file every call is allowed. With one, a call needs a token or certificate that has the scope of its
method, which the protos declare (`protos/forwardpass/v1/options.proto`). A method without a scope is denied. A token
may be limited to some networks; then it allows no call that names another one, whether there is such a network or not,
and lists show only those. Names of networks are shown to callers with the scope `read` only.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from forwardpass.errors import (
    NetworkNotFoundError,
    PermissionDeniedError,
    QuotaExceededError,
    UnauthenticatedError,
)
from forwardpass.method_options import path_of, scope_of

from forwardpass_server.rpc.caller_counts import ANONYMOUS, REJECTIONS, CallerCounts
from forwardpass_server.rpc.context import Credential
from forwardpass_server.rpc.tokens_file import Token, read_tokens
from forwardpass_server.serving import Method

if TYPE_CHECKING:
    from google.protobuf.descriptor import ServiceDescriptor

    from forwardpass_server.rpc.call_quota import CallQuota

OPEN: Final = "open"
READ: Final = "read"
TRACE: Final = "trace"


def declared_scopes(services: "Iterable[ServiceDescriptor]") -> dict[str, str]:
    """Return the scope that each method of some services needs, by the method's path, as their protos declare it."""
    return {path_of(method): scope for service in services for method in service.methods if (scope := scope_of(method))}


class Guard:
    """Decides whether a call may go on, before anything about its subject is revealed. May be used in any thread.

    Attributes:
        counts: The calls of methods that need a scope, and the rejected ones, by the caller's name.
    """

    def __init__(self, tokens: tuple[Token, ...] | None, scopes: Mapping[str, str] = MappingProxyType({})) -> None:
        """Make a guard.

        Args:
            tokens: The tokens that are known, or None to allow every call.
            scopes: The scope that each method needs, by its path; a method without one is denied.
        """
        self._keep(tokens)
        self._limits_networks = any(token.networks is not None for token in tokens or ())
        self._scopes = scopes
        self.counts = CallerCounts()
        # The methods of tokens that are limited to some networks.
        self._limited: dict[tuple[Method, Token], Method] = {}

    @classmethod
    def from_file(cls, path: Path | None, scopes: Mapping[str, str]) -> "Guard":
        """Read a tokens file, or with None allow every call; raises as `read_tokens` does."""
        return cls(None if path is None else read_tokens(path), scopes)

    def share_quotas(self, share: "Callable[[int, CallQuota], CallQuota]") -> None:
        """Replace the quotas of tokens by those that several processes share; before the first call.

        Args:
            share: Returns the quota, given the token's place in the file and its own quota.
        """
        if self._tokens is not None:
            self._keep(
                tuple(
                    token if token.quota is None else replace(token, quota=share(place, token.quota))
                    for place, token in enumerate(self._tokens)
                )
            )

    @property
    def token_count(self) -> int:
        """The number of tokens that are known."""
        return len(self._tokens or ())

    @property
    def closed(self) -> bool:
        """Whether there are calls that need a token."""
        return self._tokens is not None

    @property
    def knows_certificates(self) -> bool:
        """Whether there are callers who are known by their certificates."""
        return bool(self._by_identity)

    @property
    def weights(self) -> dict[str, float]:
        """The weights of callers, as `caller` names them; those of all others are 1."""
        return {_caller(token): token.weight for token in self._tokens or ()}

    def check(self, method: str, credential: Credential) -> None:
        """Admit a call that its token allows, and count it.

        Raises:
            UnauthenticatedError: There is no token, or none that is known.
            PermissionDeniedError: The token lacks the method's scope.
            QuotaExceededError: The token has made too many calls.
        """
        self._admit(method, credential)

    def admit(self, path: str, method: Method, credential: Credential) -> Method:
        """Admit a call of a hot method as `check` does; return the method as it is for the caller."""
        known = self._admit(path, credential)
        return method if known is None else self._method_of(known, method)

    def check_health(self, method: str, network: str, credential: Credential) -> None:
        """Admit a call that learns whether there is a network; raises as `check_network` and `check` do."""
        if self._tokens is not None:
            _check_network(_with_scope(self._find(credential), READ, method, credential), method, network)

    def check_network(self, method: str, network: str, credential: Credential) -> None:
        """Admit a call of a network, whose token allows the method; an empty name is for the method to judge.

        Raises:
            PermissionDeniedError: The token is limited to other networks.
        """
        known = self._find(credential)
        if known is not None and network:
            _check_network(known, method, network)

    def network_filter(self, credential: Credential) -> Callable[[str], bool] | None:
        """Return a function that says which networks a caller may see in lists; None if all."""
        known = self._find(credential)
        return None if known is None or known.networks is None else known.allows

    def count_request(self, credential: Credential) -> None:
        """Count a request of a stream, whose call was admitted.

        Raises:
            QuotaExceededError: The token has made too many calls.
        """
        known = self._find(credential)
        self.counts.count_calls(_name(known))
        if known is not None and known.quota is not None:
            _count(known)

    def name_of(self, credential: Credential) -> str:
        """Return the name of a caller's token or certificate; that of all whose is not known is `_anonymous`."""
        return _name(self._find(credential))

    def count_rejection(self, credential: Credential, reason: str, number: int = 1) -> None:
        """Count calls that end with an error, if they are rejected because of who makes them, or how much."""
        if reason in REJECTIONS:
            self.counts.count_rejection(self.name_of(credential), reason, number)

    def caller(self, credential: Credential, peer: str) -> str:
        """Return who makes a call, as far as the server's time is shared: a token, else an address."""
        known = self._find(credential)
        return peer.rpartition(":")[0] if known is None else _caller(known)

    def without_names(self, error: Exception, credential: Credential) -> Exception:
        """Return an error as a caller may see it: names of other networks are for callers who may list them."""
        if self._tokens is None or not isinstance(error, NetworkNotFoundError) or not error.facts.get("nearest"):
            return error
        known = self._find(credential)
        if known is not None and READ in known.scopes and all(map(known.allows, error.facts["nearest"].split(", "))):
            return error
        message, _, _ = error.message.rpartition("; did you mean")
        facts: dict[str, Any] = {**error.facts, "nearest": ""}
        return NetworkNotFoundError(message, **facts)

    def method_for(self, method: Method, credential: Credential) -> Method:
        """Return a method as it is for a caller who may call it: of all networks or some, with layers or without."""
        if self._tokens is None:
            return method.with_layer_access or method
        if method.with_layer_access is None and not self._limits_networks:
            return method
        known = self._find(credential)
        return method if known is None else self._method_of(known, method)

    def _keep(self, tokens: tuple[Token, ...] | None) -> None:
        self._tokens = tokens
        self._by_digest = {token.key: token for token in tokens or () if isinstance(token.key, bytes)}
        self._by_identity = {token.key: token for token in tokens or () if isinstance(token.key, str)}

    def _admit(self, path: str, credential: Credential) -> Token | None:
        scope = self._scopes.get(path)
        if scope == OPEN:
            return None
        if self._tokens is None:
            self.counts.count_calls(ANONYMOUS)
            return None
        known = self._find(credential)
        self.counts.count_calls(_name(known))
        known = _with_scope(known, scope, path, credential)
        if known.quota is not None:
            _count(known)
        return known

    def _method_of(self, known: Token, method: Method) -> Method:
        if method.with_layer_access is not None and TRACE in known.scopes:
            method = method.with_layer_access
        if known.networks is None:
            return method
        limited = self._limited.get((method, known))
        if limited is None:
            check = partial(_check_network, known, method.name)
            limited = self._limited.setdefault((method, known), method.limited_by(check))
        return limited

    def _find(self, credential: Credential) -> Token | None:
        if not credential or self._tokens is None:
            return None
        if isinstance(credential, tuple):
            return next(filter(None, map(self._by_identity.get, credential)), None)
        # The time tells something about the digest at most, of which the token cannot be made.
        return self._by_digest.get(hashlib.sha256(credential.encode()).digest())


def _caller(token: Token) -> str:
    return f"token:{token.name}"


def _name(token: Token | None) -> str:
    return ANONYMOUS if token is None else token.name


def _with_scope(known: Token | None, scope: str | None, method: str, credential: Credential) -> Token:
    if known is None:
        raise UnauthenticatedError(
            "a token is needed: send the metadata `authorization: Bearer TOKEN`"
            + (f", or let the tokens file name the certificate {credential[0]}" if type(credential) is tuple else ""),
            method=method,
        )
    if scope not in known.scopes:
        raise PermissionDeniedError(
            f"the token {known.name} lacks the scope {scope or 'of this method'!r}",
            method=method,
            scope=scope or "",
            token=known.name,
        )
    return known


def _check_network(token: Token, method: str, network: str) -> None:
    if not token.allows(network):
        raise PermissionDeniedError(
            f"the token {token.name} does not allow the network {network[:100]!r}; its line of the tokens file has "
            "the networks that it allows",
            method=method,
            network=network[:100],
            token=token.name,
        )


def _count(token: Token) -> None:
    assert token.quota is not None  # noqa: S101 - the callers look
    seconds = token.quota.take()
    if seconds > 0.0:
        rate = token.quota.calls_per_second
        raise QuotaExceededError(
            f"the token {token.name} may make {rate:g} calls per second (calls_per_second of its line in the tokens "
            f"file); try again in {seconds:.3g} s",
            retry_after=seconds,
            quotaLimit=rate,
            setting="tokens_file",
            token=token.name,
        )
