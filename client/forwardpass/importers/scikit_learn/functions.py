"""Functions of numpy by which transformers change each number, as activations."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from forwardpass.importers.graph import PASS, TensorRef
from forwardpass.importers.graph.functions import EXPRESSIONS, expression
from forwardpass.importers.scikit_learn.pipeline_step import PipelineStep, Transform

_FUNCTIONS: Final[Mapping[Callable[..., Any], Any]] = MappingProxyType(
    {
        np.exp: "exp",
        np.sin: "sin",
        np.cos: "cos",
        np.square: "square",
        np.tanh: "tanh",
        **{
            function: expression(EXPRESSIONS[name])
            for name, function in (
                *(("neg", np.negative), ("reciprocal", np.reciprocal), ("log2", np.log2), ("log10", np.log10)),
                *(("abs", np.abs), ("expm1", np.expm1), ("log", np.log), ("log1p", np.log1p), ("sqrt", np.sqrt)),
            )
        },
    }
)
"""The activation for each function of numpy."""

_ABOVE: Final[Mapping[Callable[..., Any], float]] = MappingProxyType(
    {np.log: 0.0, np.log2: 0.0, np.log10: 0.0, np.sqrt: 0.0, np.log1p: -1.0}
)
"""The number above which a function has values; elsewhere it has NaN."""

NAMES: Final = ", ".join(sorted(function.__name__ for function in _FUNCTIONS))


def apply_function(step: PipelineStep, attribute: str, values: TensorRef) -> TensorRef:
    """Apply the function of a `FunctionTransformer` to each value.

    Args:
        step: The transformer.
        attribute: `func`, or `inverse_func` for the way back.
        values: What it reads.

    Raises:
        UnsupportedError: The function is another one, or has arguments.
    """
    function = getattr(step.model, attribute)
    arguments = step.model.kw_args if attribute == "func" else step.model.inv_kw_args
    if function is None:
        return values
    if arguments or not isinstance(function, np.ufunc) or function not in _FUNCTIONS:
        step.reject(
            f"calls a function of Python ({attribute}), which may compute anything; without arguments, those of numpy "
            f"are read: {NAMES}"
        )
    if function in _ABOVE:
        step.reader.inputs.bound_below(values, _ABOVE[function])
    return step.graph.add_layer(step.name or "target", values, **PASS, activation=_FUNCTIONS[function])


def _function(step: PipelineStep, values: TensorRef) -> TensorRef:
    return apply_function(step, "func", values)


def powers(step: PipelineStep, values: TensorRef) -> TensorRef:
    """Raise each column to its own power, as `PowerTransformer` does (Yeo & Johnson, 2000; Box & Cox, 1964)."""
    step.check_fitted("lambdas_")
    model = step.model
    if model.method == "box-cox":
        step.reader.inputs.bound_below(values, 0.0)
    formula = _box_cox if model.method == "box-cox" else _yeo_johnson
    columns = [
        step.graph.add_layer(
            f"{step.name}_{place}", values.take([place]), **PASS, activation=expression(formula(power))
        )
        for place, power in enumerate(map(float, model.lambdas_))
    ]
    together = step.graph.concatenate(columns)
    if not model.standardize:
        return step.graph.add_layer(step.name, together, **PASS)
    mean, scale = model._scaler.mean_, model._scaler.scale_  # noqa: SLF001 - fitted with it
    return step.graph.add_layer(step.name, together, kind="scale_shift", scale=1 / scale, shift=-mean / scale)


def _box_cox(power: float) -> str:
    return "log(x)" if power == 0 else f"expm1({_number(power)} * log(x)) / {_number(power)}"


def _yeo_johnson(power: float) -> str:
    eps = np.finfo(np.float64).eps
    above = f"expm1({_number(power)} * log1p(x)) / {_number(power)}" if abs(power) >= eps else "log1p(x)"
    left = _number(2 - power)
    below = f"expm1({left} * log1p(-x)) / {left}" if abs(power - 2) > eps else "log1p(-x)"
    return f"where(x >= 0, {above}, -({below}))"


def _number(number: float) -> str:
    return f"({number!r})" if number < 0 else repr(number)


ELEMENTWISE: Final[Mapping[str, Transform]] = MappingProxyType({"FunctionTransformer": _function})
"""By class name."""
