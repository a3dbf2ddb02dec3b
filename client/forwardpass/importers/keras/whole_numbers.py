"""Arithmetic of inputs that are whole numbers, which wraps around in Keras, and which float32 holds up to 2^24 only."""

from typing import Final

import numpy as np

from forwardpass.importers.graph import LayerOperations, TensorRef
from forwardpass.importers.graph.whole_numbers import shifted_origins
from forwardpass.importers.keras.layer_call import LayerCall
from forwardpass.importers.unsupported import UnsupportedError

_EXACT: Final = 2**24
"""The number below which float32 holds all whole numbers."""

_COMPUTE: Final = frozenset(
    {
        *(
            "Add",
            "Subtract",
            "Multiply",
            "Power",
            "Mod",
            "FloorDivide",
            "Square",
            "Dot",
            "Matmul",
            "Einsum",
            "Tensordot",
        ),
        *("Sum", "Prod", "Cumsum", "Cumprod"),
    }
)
_COMPARE: Final = frozenset({"Equal", "NotEqual", "Greater", "GreaterEqual", "Less", "LessEqual"})


def check_whole(call: LayerCall) -> None:
    """Reject arithmetic of inputs of whole numbers; a constant may be added to those that something looks up.

    Raises:
        UnsupportedError: It is such arithmetic, or a comparison with a number that float32 may not hold.
    """
    if call.kind not in _COMPUTE | _COMPARE or not any(_of_inputs(call.graph, x) for x in call.whole):
        return
    constants = [value for value in call.arguments if not isinstance(value, TensorRef)]
    if call.kind in _COMPARE and constants and max(map(_size, constants)) < _EXACT:
        return
    if call.kind in {"Add", "Subtract"} and constants and len(call.inputs) == 1:
        call.graph.whole.shifted.append((call.name, call.whole[0]))
        return
    raise UnsupportedError(
        "computes with inputs of whole numbers, which wrap around, and which float32 holds up to 2^24 only; cast them "
        "before, `keras.ops.cast(x, 'float32')`"
    )


def _size(constant: object) -> float:
    """Return the largest absolute number; infinity of what is no number."""
    try:
        return float(np.abs(np.asarray(constant, dtype=np.float64)).max(initial=0.0))
    except (TypeError, ValueError):
        return np.inf


def _of_inputs(graph: LayerOperations, x: TensorRef) -> bool:
    return any(graph.is_input(source) for source, _, _ in shifted_origins(graph, x))


def check_shifted(graph: LayerOperations) -> None:
    """Reject constants that were added to inputs of whole numbers which nothing looks up.

    Raises:
        UnsupportedError: There are some.
    """
    for name, x in graph.whole.shifted:
        for source, place, _ in shifted_origins(graph, x):
            known = graph.whole.categories.get((source, place))
            if graph.is_input(source) and (known is None or max(-known.start, known.stop) > _EXACT):
                raise UnsupportedError(
                    f"adds to inputs of whole numbers ({name}) that nothing looks up; cast them before, "
                    "`keras.ops.cast(x, 'float32')`"
                )
