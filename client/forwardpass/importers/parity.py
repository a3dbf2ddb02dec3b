"""The comparison of a network with the model it was imported from."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from forwardpass.differences import TOLERANCE, checked_tolerance
from forwardpass.errors import Fault, ForwardpassError
from forwardpass.importers.certificate import Certificate, content_digest
from forwardpass.importers.judgement import Judgement, example_tolerances, judge
from forwardpass.importers.progress import Progress, Step
from forwardpass.importers.reference import compute, rows_at_once
from forwardpass.importers.sample_rows import check_finite, nan_columns
from forwardpass.importers.source import RowSampler, Source
from forwardpass.importers.unsupported import UnsupportedModelError
from forwardpass.spec import Example, Layer, NetworkSpec, from_safetensors, to_safetensors
from forwardpass.tensors import Array

RANDOM_ROWS: Final = 1_000
EXAMPLES: Final = 8
_MAX_RANDOM_NUMBERS: Final = 4_000_000
_MAX_PRODUCTS: Final = 4_000_000_000
_MAX_EXAMPLE_NUMBERS: Final = 100_000
"""Bounds the random rows and the examples of wide and large networks."""
_MIN_ROWS: Final = 64
"""Random rows that are compared, however large the network is, so that a difference is found."""
_MIN_AT_ONCE: Final = 32
"""Rows that a framework computes together, however wide the layers are."""
_MAX_FAULTS: Final = 10
_STRETCH: Final = 10.0
"""The factor of every other random row, which reaches where activations saturate."""


class ParityError(ForwardpassError):
    """The network does not compute what the model computes; `faults` has the numbers that differ most."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Imported:
    """A model as a network.

    Attributes:
        spec: The network, with the certificate in its metadata and numbers of the model as its examples.
        certificate: How closely the network agrees with the model.
        notes: A sentence for each thing of the model that was left out or renamed.
    """

    spec: NetworkSpec
    certificate: Certificate
    notes: tuple[str, ...] = ()


def certify(
    spec: NetworkSpec, source: Source, rows: Array, tolerance: float | None, progress: Progress | None = None
) -> Imported:
    """Compare a spec with its source, and add the certificate and examples to it.

    Args:
        spec: The network.
        source: The model it was imported from.
        rows: `(rows, inputs)` float64, the rows that the caller gave; may be empty.
        tolerance: The largest accepted relative difference, or None for the dtype's default.
        progress: Receives the steps of the comparison.

    Raises:
        ParityError: They differ by more.
        InvalidFieldError: The tolerance is negative or no number.
        InvalidNetworkError: The spec is too large with the certificate and examples.
        NonFiniteInputError: A given row is too large for the network's dtype.
        UnsupportedModelError: The framework fails to compute the rows.
    """
    tolerance = checked_tolerance(tolerance, TOLERANCE[spec.dtype])
    # Both get numbers in the network's dtype, or the difference would be that of the inputs.
    with np.errstate(over="ignore"):
        rows = rows.astype(spec.dtype).astype(np.float64)
        random = random_rows(spec, rows, source.sampler).astype(spec.dtype).astype(np.float64)
    if not source.non_finite:
        check_finite(rows, spec.inputs.names, f"too large for {spec.dtype}", spec.inputs.features)
        is_computed = np.isfinite(random) | (np.isnan(random) & nan_columns(spec.inputs.features))
        random = random[is_computed.all(axis=1)]
    compared = np.concatenate([rows, random])
    with np.errstate(all="ignore"):
        try:
            theirs = _computed(source, compared, max(_MIN_AT_ONCE, rows_at_once(spec)), progress)
        except Exception as error:
            raise UnsupportedModelError(f"{source.framework} cannot compute the rows: {error!r}") from error
        ours = compute(spec, compared, progress).astype(np.float64)
    judged = judge(spec, compared, ours, theirs, tolerance, progress)
    certificate = Certificate(
        framework=source.framework,
        model=source.model,
        given_rows=len(rows),
        random_rows=len(random),
        absolute=float(judged.difference.max()),
        relative=float(judged.relative.max()),
        tolerance=tolerance,
        rounded_rows=judged.rounded_rows,
        digest=content_digest(spec),
    )
    if judged.refused.any():
        raise _disparity(certificate, spec, ours, theirs, judged)
    chosen = _choose(theirs, compared, len(rows), nan_columns(spec.inputs.features))
    tolerances = example_tolerances(spec, compared[chosen], theirs[chosen], tolerance).max(axis=1, initial=0.0)
    examples = tuple(
        Example(
            inputs=tuple(None if np.isnan(number) else number for number in compared[row].tolist()),
            outputs=tuple(theirs[row].tolist()),
            tolerance=float(accepted),
        )
        for row, accepted in zip(chosen, tolerances, strict=True)
    )
    proven = replace(spec, metadata={**spec.metadata, **certificate.metadata()}, examples=examples)
    checked = from_safetensors(to_safetensors(proven))  # as every spec
    return Imported(spec=checked, certificate=certificate, notes=source.notes)


def random_rows(spec: NetworkSpec, rows: Array, sample: RowSampler | None = None) -> Array:
    """Return random rows, the same on each call, spread as the network expects its inputs.

    A sampler makes rows that the model can read. Without one, the spread is that of the network's
    features, or where these have none, that of the given rows.
    """
    width = spec.inputs.width
    products = sum(_PRODUCTS.get(layer.kind, _one_of_each_weight)(layer) for layer in spec.layers)
    count = min(RANDOM_ROWS, max(10, _MAX_RANDOM_NUMBERS // width), max(_MIN_ROWS, _MAX_PRODUCTS // max(products, 1)))
    generator = np.random.default_rng(0)
    if sample is not None:
        return sample(generator, count)
    random = generator.normal(size=(count, width))
    random[1::2] *= _STRETCH
    mean, scale = spec.inputs.mean, spec.inputs.scale
    if mean is None and scale is None and len(rows) > 1:
        mean, scale = rows.mean(axis=0), rows.std(axis=0)
        scale[scale == 0] = 1.0
    if scale is not None:
        random *= scale
    if mean is not None:
        random += mean
    return random


def _one_of_each_weight(layer: Layer) -> int:
    return sum(array.size for array in layer.arrays.values())


_PRODUCTS: Final[Mapping[str, Callable[[Layer], int]]] = MappingProxyType(
    {
        "conv": lambda layer: layer.outputs * layer.arrays["weights"].shape[1],
        "matmul": lambda layer: layer.outputs * int(layer.settings["inner"]),
        "recurrent": lambda layer: int(layer.settings["steps"]) * _one_of_each_weight(layer),
    }
)
"""The number of products of a row in a layer, of the kinds that use a number more than once."""


def _computed(source: Source, rows: Array, size: int, progress: Progress | None) -> Array:
    """Compute rows by the framework, many at a time but no more than its memory is bounded by."""
    step = Step(name=f"compute by {source.framework}", rows=len(rows), progress=progress)
    return np.concatenate([source.compute(rows[part]) for part in step.parts(size)] or [source.compute(rows)])


def _choose(theirs: Array, rows: Array, given: int, missing: Any) -> list[int]:
    """Choose examples spread over the given rows, or over the random rows where none are given."""
    count = min(EXAMPLES, max(1, _MAX_EXAMPLE_NUMBERS // (rows.shape[1] + theirs.shape[1])))
    # Examples are written as JSON, which has null for a missing value and no other NaN.
    is_written = np.isfinite(rows) | (np.isnan(rows) & missing)
    usable = np.flatnonzero(np.isfinite(theirs).all(axis=1) & is_written.all(axis=1))
    usable = usable[usable < given] if given else usable
    spread = np.linspace(0, len(usable) - 1, min(count, len(usable))).astype(int)
    return list(map(int, usable[spread]))


def _disparity(
    certificate: Certificate, spec: NetworkSpec, ours: Array, theirs: Array, judged: Judgement
) -> ParityError:
    refused = np.where(judged.refused, judged.relative, -1.0)
    faults = []
    for place in np.argsort(refused, axis=None)[::-1][:_MAX_FAULTS].tolist():
        row, column = divmod(place, refused.shape[1])
        if not judged.refused[row, column]:
            break
        kind, number = ("rows", row) if row < certificate.given_rows else ("random_rows", row - certificate.given_rows)
        faults.append(
            Fault(
                path=f"{kind}[{number}].{spec.outputs[column]}",
                message=f"the model computes {theirs[row, column]:.17g}, the network {ours[row, column]:.17g}",
            )
        )
    count = int(judged.refused.any(axis=1).sum())
    return ParityError(
        f"the network does not compute what the model computes: {count:,} of {len(ours):,} rows differ by more than "
        f"{certificate.tolerance:g} and than rounding explains, the worst by {refused.max():.3g} (relative); where "
        "such a difference is all right, allow it by `tolerance`",
        faults=faults,
        relative=float(refused.max()),
        absolute=certificate.absolute,
        tolerance=certificate.tolerance,
    )
