"""The content of a picture of attributions: for each explained output its baseline, and the shares of the inputs."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from forwardpass.predictions import ExplanationValues
from forwardpass.render.graphs import words
from forwardpass.render.graphs.sources import Described, features_of
from forwardpass.render.numerals import short
from forwardpass.tensors import Array

if TYPE_CHECKING:
    from forwardpass.render.graphs.sources import AnyFeature

MAX_BARS: Final = 12
"""Inputs that have a bar of their own; the others share one."""
MAX_OUTPUTS: Final = 6
"""Outputs that are drawn, those with the largest shares."""
_GAP: Final = 1e-3
"""A completeness error above this share of the largest bar is drawn."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bar:
    """The share of one input, or of several others together.

    Attributes:
        name: The name of the input.
        value: Its value, as people write it; empty for several.
        share: Its share.
        error: The standard error of the share, or None where it is exact.
        is_rest: Whether it stands for several inputs, or for what is not explained.
    """

    name: str
    value: str
    share: float
    error: float | None = None
    is_rest: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Waterfall:
    """One output.

    Attributes:
        output: Its name, or the class that it stands for.
        baseline: The output of the baseline, or None for a method whose shares do not add up to the output.
        value: The output.
        bars: The largest shares, largest first, and the rest.
    """

    output: str
    baseline: float | None
    value: float
    bars: tuple[Bar, ...]


def waterfalls(
    explanation: ExplanationValues, row: int, outputs: Sequence[str] | None, network: Described | None
) -> list[Waterfall]:
    """Return the content of a picture of one row.

    Args:
        explanation: The explanation.
        row: The index of the row.
        outputs: The outputs to draw, by their names or classes, or None for those with the largest shares.
        network: The spec or version, for units.

    Raises:
        IndexError: The explanation has no such row.
        ValueError: An output is not among those that are explained, or a name stands for two of them.
    """
    if not 0 <= row < len(explanation.attributions):
        raise IndexError(f"row is {row}; the explanation has {len(explanation.attributions)} rows, counted from 0")
    shares = np.atleast_2d(explanation.attributions[row]).astype(np.float64)
    names = explanation.explained_outputs[row]
    classes = explanation.explained_classes[row] if explanation.explained_classes else names
    chosen = [_place(name, names, classes) for name in outputs] if outputs else _largest(shares)
    values = _input_values(explanation, row, () if network is None else features_of(network))
    return [
        Waterfall(
            output=explanation.output_label(names[index]),
            baseline=_one(explanation.baseline_outputs, row, index),
            value=_one(explanation.explained_values, row, index) or 0.0,
            bars=tuple(_bars(explanation, row, index, shares[index], values)),
        )
        for index in chosen
    ]


def _place(name: str, names: Sequence[str], classes: Sequence[str]) -> int:
    """Return the place of an explained output, given its name or class."""
    places = [place for place, known in enumerate(zip(names, classes, strict=True)) if name in known]
    if not places:
        known = dict.fromkeys([*names, *classes])
        raise ValueError(f"outputs has {name!r}; the explanation has {', '.join(map(repr, known))}")
    if len(places) > 1:
        raise ValueError(f"outputs has {name!r}, which is the name of an output and the class of another one")
    return places[0]


def _largest(shares: Array) -> list[int]:
    order = np.argsort(-np.abs(shares).max(axis=1), kind="stable")[:MAX_OUTPUTS]
    return sorted(order.tolist())


def _one(values: Array | None, row: int, index: int) -> float | None:
    return None if values is None else float(np.atleast_1d(values[row])[index])


def _bars(explanation: ExplanationValues, row: int, index: int, shares: Array, values: Sequence[str]) -> Iterator[Bar]:
    errors = None
    if explanation.standard_error is not None:
        errors = np.atleast_2d(explanation.standard_error[row])[index]
    order = np.argsort(-np.abs(shares), kind="stable").tolist()
    shown = order if len(order) <= MAX_BARS else order[: MAX_BARS - 1]
    for place in shown:
        yield Bar(
            name=explanation.input_names[place],
            value=values[place],
            share=float(shares[place]),
            error=None if errors is None else float(errors[place]),
        )
    rest = order[len(shown) :]
    if rest:
        yield Bar(name=f"{len(rest):,} others", value="", share=float(shares[rest].sum()), is_rest=True)
    gap = _one(explanation.completeness_error, row, index)
    if gap is not None and abs(gap) > _GAP * float(np.abs(shares).max(initial=0.0)):
        yield Bar(name="not explained", value="", share=gap, is_rest=True)


def _input_values(explanation: ExplanationValues, row: int, features: "Sequence[AnyFeature]") -> list[str]:
    units = {feature.name: feature for feature in features}
    found = []
    for index, name in enumerate(explanation.input_names):
        value = float(explanation.input_values[row, index])
        feature = units.get(name)
        if name in explanation.categories:
            found.append(explanation.categories[name][row] or "unknown")
        elif np.isnan(value):
            found.append("missing")
        elif feature is not None:
            found.append(words.raw_value(value, feature))
        else:
            found.append(short(value))
    return found
