"""Compression of HTTP bodies: gzip and deflate, with a bound on the size of decompressed requests."""

import zlib
from typing import Final

from forwardpass.errors import InvalidFieldError, QuotaExceededError

# The `wbits` of each format: https://docs.python.org/3/library/zlib.html#zlib.compressobj
# HTTP's deflate is the zlib format: https://www.rfc-editor.org/rfc/rfc9110#name-deflate-coding
ENCODINGS: Final = {"gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}
"""The `wbits` of each encoding, in the order of preference."""

MIN_COMPRESSED_BYTES: Final = 1024
"""Bytes from which a response is compressed."""
_LEVEL: Final = 1


def decompress(body: bytes, encoding: str, max_bytes: int) -> bytes:
    """Decompress a body.

    Args:
        body: The whole body.
        encoding: One of `ENCODINGS`.
        max_bytes: The most bytes that it may have when it is decompressed.

    Raises:
        InvalidFieldError: The body is not a complete stream of this encoding.
        QuotaExceededError: The decompressed body is larger than `max_bytes`.
    """
    machine = zlib.decompressobj(ENCODINGS[encoding])
    try:
        content = machine.decompress(body, max_bytes + 1)
    except zlib.error as error:
        raise InvalidFieldError(
            f"the body is not {encoding}, which content-encoding names: {error}", field="content-encoding"
        ) from None
    if len(content) > max_bytes:
        raise QuotaExceededError(
            f"the body has more than {max_bytes:,} bytes when it is decompressed, the most that the server accepts "
            "(setting `max_request_bytes`); send fewer rows in each call",
            quotaLimit=max_bytes,
            setting="max_request_bytes",
        )
    if not machine.eof or machine.unused_data:
        what = "continues after the end of its" if machine.eof else "ends within its"
        raise InvalidFieldError(f"the body {what} {encoding} stream", field="content-encoding")
    return content


def choose(accepted: str) -> str | None:
    """Return the encoding of a response, given the header `Accept-Encoding`, or None to leave it uncompressed."""
    weights = {}
    for part in accepted.lower().split(","):
        name, _, parameters = part.partition(";")
        weights[name.strip()] = parameters.replace(" ", "") not in {"q=0", "q=0.0", "q=0.00", "q=0.000"}
    return next((name for name in ENCODINGS if weights.get(name)), None)


def compress(content: bytes, encoding: str) -> bytes:
    """Compress a response, with zlib's fastest level."""
    machine = zlib.compressobj(_LEVEL, wbits=ENCODINGS[encoding])
    return machine.compress(content) + machine.flush()
