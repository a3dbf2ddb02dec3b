"""Reasons why operations and modules are not supported, with alternatives."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

_RECURRENT: Final = "is recurrent, and no feed-forward layer"
_CONVOLUTION: Final = "is a convolution, which is no layer here; compute such features before the rows are sent"
_ATTENTION: Final = "is attention, whose weights depend on the rows, and no feed-forward layer"
_OWN_STATISTICS: Final = "takes mean and variance of parts of a row; use LayerNorm or BatchNorm instead"
_CHANCE: Final = "is random, so that there are no outputs to compare; leave it out of inference"
_PLACES: Final = "returns indices; return the numbers themselves, the client finds the largest"
_PAD: Final = "puts constants beside what was computed; use a bias of the next layer instead"
_ROUNDS: Final = "rounds, which no layer does; leave it out, or do it to the rows before they are sent"

REASONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        **dict.fromkeys(("RNN", "LSTM", "GRU", "RNNCell", "LSTMCell", "GRUCell", "lstm", "gru"), _RECURRENT),
        **dict.fromkeys(
            [f"{kind}{axes}d" for axes in (1, 2, 3) for kind in ("Conv", "ConvTranspose", "LazyConv")], _CONVOLUTION
        ),
        **dict.fromkeys([f"{kind}{axes}d" for axes in (1, 2, 3) for kind in ("conv", "conv_transpose")], _CONVOLUTION),
        **dict.fromkeys(
            ("MultiheadAttention", "Transformer", "TransformerEncoder", "TransformerEncoderLayer"), _ATTENTION
        ),
        "scaled_dot_product_attention": _ATTENTION,
        **dict.fromkeys(("Bilinear", "bilinear"), "multiplies two inputs by each other, which no layer does"),
        **dict.fromkeys(("GroupNorm", "group_norm"), _OWN_STATISTICS),
        **dict.fromkeys(("InstanceNorm1d", "InstanceNorm2d", "InstanceNorm3d", "instance_norm"), _OWN_STATISTICS),
        **dict.fromkeys(("rand", "randn", "rand_like", "randn_like", "bernoulli", "multinomial", "normal"), _CHANCE),
        **dict.fromkeys(("argmax", "argmin", "topk", "sort", "argsort"), _PLACES),
        **dict.fromkeys(("pad", "constant_pad_nd"), _PAD),
        **dict.fromkeys(("round", "floor", "ceil", "trunc", "frac", "floor_divide", "remainder", "floordiv"), _ROUNDS),
        **dict.fromkeys(("einsum", "bmm", "tensordot"), "is no `x @ weights` of rows and a constant matrix"),
        "setitem": "writes into a tensor; use `torch.cat` of its parts instead",
        **dict.fromkeys(("cond", "while_loop", "map_impl"), "depends on the rows, which are computed all alike here"),
    }
)
"""The reason for each operation or module, by its name."""

UNKNOWN: Final = "is not supported; docs/importing/pytorch.md lists what is"
