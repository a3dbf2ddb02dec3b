"""What goes into the predictor and what comes out: calls as bytes, answers as bytes or an error."""

from dataclasses import dataclass
from enum import Enum
from math import inf
from typing import TypeAlias

from forwardpass.errors import ForwardpassError


class Kind(Enum):
    """What a call asks of a network."""

    PREDICT = "Predict"
    TRACE = "Trace"


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """One call as it came in.

    Attributes:
        kind: What is asked.
        request: The serialized `PredictRequest` or `TraceRequest`.
        expires: When nobody waits any more, in seconds of `time.monotonic()`.
    """

    kind: Kind
    request: bytes
    expires: float = inf


Answer: TypeAlias = bytes | ForwardpassError
"""The serialized response, or why there is none."""
