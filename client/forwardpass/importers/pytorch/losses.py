"""Losses of each element, with which a model scores its own rows, as an autoencoder does."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from forwardpass.importers.graph import LayerOperations, TensorRef
from forwardpass.importers.pytorch.constants import text
from forwardpass.importers.pytorch.elementwise import binary, join
from forwardpass.importers.unsupported import UnsupportedError


def _loss(expression: str, *places: str, **words: float) -> Callable[..., TensorRef]:
    """Return a loss by its expression of x, what is predicted, and y, what is true.

    Args:
        expression: The loss of one element.
        places: The arguments that a traced graph has before `reduction`.
        words: The parameters of the expression, and their defaults.
    """

    def apply(graph: LayerOperations, x: Any, y: Any, *args: Any, **options: Any) -> TensorRef:
        given = {**dict(zip((*places, "reduction", *words), args, strict=False)), **options}
        if any(given.pop(name, None) is not None for name in ("weight", "pos_weight", "size_average", "reduce")):
            raise UnsupportedError("has weights, or another form than `reduction`; multiply what it returns")
        if given.pop("reduction", "mean") not in {"none", 0}:
            raise UnsupportedError('reduces over the rows; give reduction="none" and reduce over other axes')
        formula = expression
        for word, default in words.items():
            formula = formula.replace(word, text(given.get(word, default)))
        return join(graph, lambda graph_, *both: binary(graph_, formula, *both), x, y)

    return apply


_ENTROPY: Final = "-(y * max(log(x), -100) + (1 - y) * max(log(1 - x), -100))"

LOSSES: Final[Mapping[str, Callable[..., Any]]] = MappingProxyType(
    {
        "mse_loss": _loss("(x - y) * (x - y)"),
        "l1_loss": _loss("abs(x - y)"),
        "smooth_l1_loss": _loss(
            "where(abs(x - y) < beta, 0.5 * (x - y) * (x - y) / beta, abs(x - y) - 0.5 * beta)", beta=1.0
        ),
        "huber_loss": _loss(
            "where(abs(x - y) <= delta, 0.5 * (x - y) * (x - y), delta * (abs(x - y) - 0.5 * delta))", delta=1.0
        ),
        "binary_cross_entropy": _loss(_ENTROPY, "weight"),
        "binary_cross_entropy_with_logits": _loss("max(x, 0) - x * y + softplus(-abs(x))", "weight", "pos_weight"),
    }
)
"""The function for each loss, by its name in torch."""
