"""What goes into the predictor and what comes out: calls as bytes, answers as bytes or an error."""

from enum import StrEnum
from math import inf
from typing import Any, NamedTuple, TypeAlias


class Kind(StrEnum):
    """What a call asks of a network; the values are the methods' names."""

    PREDICT = "Predict"
    TRACE = "Trace"
    PREDICT_MANY = "PredictMany"


class Call(NamedTuple):
    """One call as it came in. A tuple, since one is made for every call.

    Attributes:
        kind: What is asked.
        request: The serialized request of the method.
        expires: When nobody waits any more, in seconds of `time.monotonic()`.
        key: What the door knows the call by; unlike that of any other call under way.
        about: What else the door wants to know of it.
    """

    kind: Kind
    request: bytes
    expires: float = inf
    key: Any = None
    about: Any = None


Answer: TypeAlias = bytes | Exception
"""The serialized response, or why there is none."""
