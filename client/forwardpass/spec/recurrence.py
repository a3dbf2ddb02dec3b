"""The numbers of gates and states of each cell of a recurrent layer.

The gates stand in the order of ONNX's operators RNN, GRU and LSTM: update, reset and new state of `gru`; input, output,
forget and new cell state of `lstm` (https://onnx.ai/onnx/operators/onnx__LSTM.html).
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

GATES: Final[Mapping[str, int]] = MappingProxyType({"rnn": 1, "gru": 3, "lstm": 4})
"""The number of gates of each cell, the new state among them."""

STATES: Final[Mapping[str, int]] = MappingProxyType({"rnn": 1, "gru": 1, "lstm": 2})
"""The number of states of each cell: the hidden one, and the cell state of `lstm`."""
