"""Bodies that are compressed: gzip and deflate, in requests with a bound on what comes out."""

import zlib
from typing import Final

from forwardpass.errors import InvalidFieldError, QuotaExceededError

# How zlib's functions are told which of the formats is meant: https://docs.python.org/3/library/zlib.html
# What HTTP calls deflate is the zlib format: https://www.rfc-editor.org/rfc/rfc9110#name-deflate-coding
ENCODINGS: Final = {"gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}
"""The encodings, the preferred one first."""

WORTH: Final = 1024
"""Bytes from which on an answer is compressed."""
_LEVEL: Final = 1


def decompress(body: bytes, encoding: str, most: int) -> bytes:
    """Return what a compressed body holds.

    Args:
        body: All of it.
        encoding: One of `ENCODINGS`.
        most: Bytes that may come out.

    Raises:
        InvalidFieldError: The body is not of that encoding, or not complete.
        QuotaExceededError: More comes out.
    """
    machine = zlib.decompressobj(ENCODINGS[encoding])
    try:
        content = machine.decompress(body, most + 1)
    except zlib.error as error:
        raise InvalidFieldError(
            f"the body is not {encoding}, as content-encoding says it is: {error}", field="content-encoding"
        ) from None
    if len(content) > most:
        raise QuotaExceededError(
            f"the body has more than {most:,} bytes when it is decompressed, which is what the server accepts "
            "(setting `max_request_bytes`); send fewer rows in each call",
            quotaLimit=most,
            setting="max_request_bytes",
        )
    if not machine.eof or machine.unused_data:
        what = "goes on behind the end of its" if machine.eof else "is cut off within its"
        raise InvalidFieldError(f"the body {what} {encoding} stream", field="content-encoding")
    return content


def choose(accepted: str) -> str | None:
    """Return the encoding for an answer, given what `Accept-Encoding` says; None for none."""
    weights = {}
    for part in accepted.lower().split(","):
        name, _, parameters = part.partition(";")
        weights[name.strip()] = parameters.replace(" ", "") not in {"q=0", "q=0.0", "q=0.00", "q=0.000"}
    return next((name for name in ENCODINGS if weights.get(name)), None)


def compress(content: bytes, encoding: str) -> bytes:
    """Compress an answer; quickly rather than well."""
    machine = zlib.compressobj(_LEVEL, wbits=ENCODINGS[encoding])
    return machine.compress(content) + machine.flush()
