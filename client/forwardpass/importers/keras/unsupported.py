"""What could replace layers that are not read."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

_WINDOWS: Final = "moves a kernel over places, which is not read; Dense after Flatten is what could replace it"
_REPEATS: Final = "goes through a sequence call by call, which no feed-forward network does"
_PICTURES: Final = "works on pictures; prepare them before the rows are sent"

REASONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        **dict.fromkeys(
            (
                *("Conv1D", "Conv2D", "Conv3D", "SeparableConv1D", "SeparableConv2D", "DepthwiseConv1D"),
                *("DepthwiseConv2D", "Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose"),
            ),
            _WINDOWS,
        ),
        **dict.fromkeys(("LSTM", "GRU", "SimpleRNN", "RNN", "Bidirectional", "ConvLSTM2D"), _REPEATS),
        **dict.fromkeys(("CenterCrop", "Resizing", "RandomFlip", "RandomRotation", "RandomZoom"), _PICTURES),
        "Lambda": "runs code from the file, which is never done; use keras.ops or layers",
        "Hashing": "spreads values over bins by a hash, which is not read; use IntegerLookup or StringLookup",
        "HashedCrossing": "spreads values over bins by a hash, which is not read; use IntegerLookup or StringLookup",
        "TextVectorization": "splits texts into words; do that before the rows are sent",
        "MultiHeadAttention": "multiplies tensors with each other, which is not read",
        "Masking": "leaves out steps of a sequence, which no feed-forward network has",
    }
)
"""By class."""


def reason_for(kind: str, known: str) -> str:
    """Say why a layer is not read.

    Args:
        kind: Its class.
        known: The classes that are read.
    """
    if " of " in kind:
        return f"is no layer of Keras's own, and may compute anything; read are {known}"
    return REASONS.get(kind, f"is not read; read are {known}")
