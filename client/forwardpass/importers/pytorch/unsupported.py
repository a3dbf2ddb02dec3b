"""Reasons why operations and modules are not supported, with alternatives."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

_PACKED: Final = "packs sequences of several lengths; give sequences of one length as a tensor"
_LAZY: Final = "has no weights yet; call the model once, which makes them"
_CHANCE: Final = "is random, so that there are no outputs to compare; leave it out of inference"
_DECODER: Final = "makes one output after another; import its encoder, `nn.TransformerEncoder`"
_CHOSEN: Final = "takes places that are computed; use `torch.where` with a condition instead"
_PLACES: Final = "returns indices; return the numbers themselves, the client finds the largest"

REASONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        **dict.fromkeys(("pack_padded_sequence", "pack_sequence", "_pack_padded_sequence"), _PACKED),
        **dict.fromkeys([f"{kind}{axes}d" for axes in (1, 2, 3) for kind in ("LazyConv", "LazyConvTranspose")], _LAZY),
        **dict.fromkeys(("Transformer", "TransformerDecoder", "TransformerDecoderLayer"), _DECODER),
        **dict.fromkeys(("rand", "randn", "rand_like", "randn_like", "bernoulli", "multinomial", "normal"), _CHANCE),
        "argsort": _PLACES,
        **dict.fromkeys(("scatter", "scatter_add", "index_copy"), _CHOSEN),
        **dict.fromkeys(("cond", "while_loop", "map_impl"), "depends on the rows, which are computed all alike here"),
    }
)
"""The reason for each operation or module, by its name."""

UNKNOWN: Final = "is not supported; docs/importing/pytorch.md lists what is"
