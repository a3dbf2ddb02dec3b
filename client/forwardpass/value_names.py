"""Descriptions of a caller's values, for error messages."""

from collections.abc import Sequence

from forwardpass.errors import Fault


def describe(value: object) -> str:
    """Describe a value in a few words."""
    if value is None:
        return "None"
    if isinstance(value, str):
        return f"the text {value[:40]!r}"
    return f"a {type(value).__name__}"


def shorten_integer(value: int) -> str:
    """Return the digits of an integer, of a long one the first and how many there are."""
    size = abs(value).bit_length()
    if size > 4096:  # Python refuses to write very long integers
        return f"an integer of {size:,} bits"
    digits = str(value)
    return digits if len(digits) <= 40 else f"{digits[:20]}... ({len(digits) - (value < 0)} digits)"


def text_fault(value: object) -> str:
    """Return why a value is no text that can be sent; return "" if it is one."""
    if not isinstance(value, str):
        return f"is {describe(value)}; a text is needed"
    try:
        value.encode()
    except UnicodeEncodeError:
        return f"is {value[:40]!a}, which has a lone surrogate and so is no Unicode text"
    return ""


def why_unsendable(subject: str, parts: str, faults: Sequence[Fault]) -> str:
    """Say that rows cannot be sent: with the fault if there is one alone, else with the number of parts with faults."""
    if len(faults) == 1:
        return f"{subject} cannot be sent: {faults[0]}"
    return f"{subject} cannot be sent: {len(faults)} {parts} have faults"
