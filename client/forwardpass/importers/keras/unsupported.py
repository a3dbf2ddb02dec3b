"""Reasons why layers are not supported, with alternatives."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

_REPEATS: Final = "is a convolution at each step of a sequence, which is not supported; use Conv2D and LSTM"
_HASHES: Final = "spreads values over bins by a hash, which is not supported; use IntegerLookup or StringLookup"
_TENSORFLOW: Final = (
    "is an operation of TensorFlow in a model of Keras 2, which Keras 3 does not load; build the model by Keras 3, and "
    "give it the weights by `model.set_weights`"
)
_PICTURES: Final = "works on pictures; prepare them before the rows are sent"

REASONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        **dict.fromkeys(("ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D"), _REPEATS),
        **dict.fromkeys(("CenterCrop", "Resizing", "RandomCrop"), _PICTURES),
        **dict.fromkeys(("TFOpLambda", "SlicingOpLambda", "TensorFlowOpLayer"), _TENSORFLOW),
        "Lambda": "runs code from the file, which is never done; use keras.ops or layers",
        **dict.fromkeys(("Hashing", "HashedCrossing"), _HASHES),
        "TextVectorization": "splits texts into words; do that before the rows are sent",
    }
)
"""By class name."""


def reason_for(kind: str, known: str) -> str:
    """Return why a layer is not supported.

    Args:
        kind: The name of its class.
        known: The supported classes.
    """
    if " of " in kind:
        return f"is no layer of Keras's own, and may compute anything; supported are {known}"
    return REASONS.get(kind, f"is not supported; supported are {known}")
