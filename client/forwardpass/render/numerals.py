"""Numbers as texts: exact enough to read, short enough to fit."""

import math
from typing import Final

MINUS: Final = "\u2212"
"""The sign of a negative number in a picture, as wide as a plus."""


def number(value: float) -> str:
    """Return a number in its shortest form of at most six digits."""
    return f"{value + 0.0:.6g}"  # adding zero turns -0 into 0


def signed(value: float) -> str:
    """Return a number in that form, with its sign."""
    return f"{value + 0.0:+.6g}"


def short(value: float, digits: int = 4) -> str:
    """Return a number for a picture: of few digits, or a whole number of at most six; a true minus sign.

    Args:
        value: The number.
        digits: The most significant digits, 3 or 4.
    """
    value = float(value) + 0.0
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "∞" if value > 0 else f"{MINUS}∞"
    if value == round(value) and abs(value) < 1e6:
        text = f"{value:.0f}"
    elif 1e-3 <= abs(value) < 1e6:
        text = f"{value:.{digits}g}" if abs(value) < 10**digits else f"{value:.0f}"
    else:
        mantissa, exponent = f"{value:.2e}".split("e")
        text = f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"
    return text.replace("-", MINUS)


def short_signed(value: float) -> str:
    """Return a number in that form, with its sign."""
    text = short(value)
    return text if text.startswith((MINUS, "NaN")) else f"+{text}"


def percent(share: float) -> str:
    """Return a share as a percentage: whole where that says enough, never 0 % or 100 % of what is not."""
    if math.isnan(share):
        return "NaN"
    hundred = 100 * share
    if 0 < hundred < 0.1:
        return "< 0.1 %"
    if 99.9 < hundred < 100:
        return "> 99.9 %"
    return f"{hundred:.3g} %".replace("-", MINUS)


def count(number_of: int, noun: str) -> str:
    """Return for example `1 node` or `1,024 nodes`."""
    return f"{number_of:,} {noun}{'' if number_of == 1 else 's'}"
