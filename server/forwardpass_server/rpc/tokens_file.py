"""The tokens file: who may call the server, and what each of them may do.

A line has the SHA-256 of a token or an identity of a client certificate, scopes and, for limits, options:

    9f86d0...f00a08 predict,trace name=reporting networks=fraud-*,churn calls_per_second=200 weight=2
    spiffe://bank/reporting predict,read
"""

import re
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import translate
from math import isfinite
from pathlib import Path
from typing import Any, Final

from forwardpass_server.rpc.call_quota import CallQuota

SCOPES: Final = ("predict", "trace", "read", "write")
MAX_NAME_CHARACTERS: Final = 63
"""Characters of the name of a network or token."""
MIN_WEIGHT: Final = 0.01
MAX_WEIGHT: Final = 100.0
MAX_CALLS_PER_SECOND: Final = 1e6

_SHA256: Final = re.compile("[0-9a-fA-F]{64}")
_URI: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://\S+")
_IDENTITY: Final = re.compile(r"(dns|cn):\S+")
_NAME: Final = re.compile("[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_PATTERN: Final = re.compile("[a-z0-9._*-]{1,63}")


class TokensFileError(Exception):
    """The tokens file cannot be used; the sentence says which line, why, and what to write."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Token:
    """One line of the tokens file: a token or certificate, and what it allows.

    Attributes:
        key: The SHA-256 of a token; or an identity of a certificate: `uri:NAME`, `dns:NAME` or `cn:NAME`.
        scopes: The scopes of the methods that may be called.
        name: The name in errors; if the line has none, the first digits of the SHA-256, or the identity.
        networks: Matches the names of the networks that may be called; None if all may be.
        quota: Counts the calls; None if there is no limit.
        weight: The share of the server's time, compared with that of other callers.
    """

    key: bytes | str
    scopes: frozenset[str]
    name: str
    networks: re.Pattern[str] | None = None
    quota: CallQuota | None = None
    weight: float = 1.0

    def allows(self, network: str) -> bool:
        """Return whether a network of this name may be called."""
        # No network has a longer name; and matching takes time with the length.
        return self.networks is None or (
            len(network) <= MAX_NAME_CHARACTERS and self.networks.fullmatch(network) is not None
        )


def read_tokens(path: Path) -> tuple[Token, ...]:
    """Read and parse a tokens file; raises as `read_text` and `parse_tokens` do."""
    return parse_tokens(read_text(path), path)


def read_text(path: Path) -> str:
    """Return the text of a tokens file.

    Raises:
        TokensFileError: The file cannot be read, or every user of the machine can read or write it.
    """
    try:
        _check_private(path.resolve(strict=True))
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise TokensFileError(f"the tokens file {path} cannot be read: {error}") from None


def parse_tokens(text: str, path: Path) -> tuple[Token, ...]:
    """Parse the text of a tokens file. Empty lines and lines that begin with # are skipped.

    Raises:
        TokensFileError: A line is wrong, or two lines have the same token or name.
    """
    tokens: list[Token] = []
    lines_of: dict[bytes | str, int] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            token = _token(line)
            _check_unlike(token, lines_of)
        except _WrongLineError as error:
            raise TokensFileError(f"{path}:{number}: {error}") from None
        lines_of |= dict.fromkeys((token.key, token.name), number)
        tokens.append(token)
    return tuple(tokens)


class _WrongLineError(Exception):
    """A line of the file is wrong; the sentence says what to write."""


def _token(line: str) -> Token:
    credential, *fields = line.split()
    key = _key(credential)
    if key is None or not fields:
        raise _WrongLineError(
            "must be the SHA-256 of a token (64 hexadecimal digits) or the identity of a certificate (URI, dns:NAME "
            "or cn:NAME), its scopes, and options like networks=NAME"
        )
    scopes = frozenset(fields[0].split(","))
    if unknown := sorted(scopes - {*SCOPES}):
        raise _WrongLineError(
            f"unknown scope {unknown[0]!r}; known are {', '.join(SCOPES)}, separated by commas without spaces"
        )
    options: dict[str, Any] = {"name": credential if isinstance(key, str) else credential[:16].lower()}
    given: set[str] = set()
    for field in fields[1:]:
        option, equals, value = field.partition("=")
        if option not in _OPTIONS or not equals:
            known = ", ".join(f"{name}=" for name in _OPTIONS)
            raise _WrongLineError(f"unknown option {field!r}; known are {known}, without spaces around = and commas")
        if option in given:
            raise _WrongLineError(f"{option} is set twice; remove one")
        given.add(option)
        name, read = _OPTIONS[option]
        options[name] = read(option, value)
    return Token(key=key, scopes=scopes, **options)


def _key(credential: str) -> bytes | str | None:
    if _SHA256.fullmatch(credential):
        return bytes.fromhex(credential)
    if _URI.fullmatch(credential):
        return f"uri:{credential}"
    return credential if _IDENTITY.fullmatch(credential) else None


def _check_unlike(token: Token, lines_of: Mapping[bytes | str, int]) -> None:
    kind = "identity" if isinstance(token.key, str) else "token"
    for key, what in ((token.key, kind), (token.name, f"name {token.name}")):
        if key in lines_of:
            raise _WrongLineError(f"the {what} is that of line {lines_of[key]}; change or remove one of the two lines")


def _name(option: str, value: str) -> str:
    if not _NAME.fullmatch(value):
        raise _WrongLineError(
            f"{option} is {value!r}; must be 1 to 63 letters, digits, dots, underscores and hyphens, the first and the "
            "last a letter or digit"
        )
    return value


def _networks(option: str, value: str) -> re.Pattern[str]:
    patterns = value.split(",")
    for pattern in patterns:
        if not _PATTERN.fullmatch(pattern):
            raise _WrongLineError(
                f"{option} has the pattern {pattern!r}; must be a name of a network (a-z, 0-9, dot, underscore, "
                "hyphen), in which * stands for any characters; separate patterns by commas"
            )
    return re.compile("|".join(map(translate, patterns)))


def _quota(option: str, value: str) -> CallQuota:
    return CallQuota(_number(option, value, 0.001, MAX_CALLS_PER_SECOND))


def _weight(option: str, value: str) -> float:
    return _number(option, value, MIN_WEIGHT, MAX_WEIGHT)


def _number(option: str, value: str, low: float, high: float) -> float:
    try:
        number = float(value)
    except ValueError:
        number = float("nan")
    if not (isfinite(number) and low <= number <= high):
        raise _WrongLineError(f"{option} is {value!r}; must be a number from {low:g} to {high:,.0f}")
    return number


_OPTIONS: Final[Mapping[str, tuple[str, Callable[[str, str], Any]]]] = {
    "name": ("name", _name),
    "networks": ("networks", _networks),
    "calls_per_second": ("quota", _quota),
    "weight": ("weight", _weight),
}
"""What each option of a line sets, and what reads its value."""


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
