"""Recurrent layers over a fixed number of steps, in both directions too, and layers that are applied to each step."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from forwardpass.importers.graph import PASS, TensorRef
from forwardpass.importers.graph.recurrence import FUNCTIONS, Cell, ordered, recur
from forwardpass.importers.keras.activations import activation_of
from forwardpass.importers.keras.layer_call import LayerCall, LayerReader
from forwardpass.importers.keras.masks import reject_mask
from forwardpass.importers.keras.variable_paths import snake_case
from forwardpass.importers.unsupported import UnsupportedError

if TYPE_CHECKING:
    from forwardpass.tensors import Array

_KINDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        **dict.fromkeys(("LSTM", "LSTMCell"), "lstm"),
        **dict.fromkeys(("GRU", "GRUCell"), "gru"),
        **dict.fromkeys(("SimpleRNN", "SimpleRNNCell"), "rnn"),
    }
)
"""The cell of each class."""

_MERGES: Final[Mapping[str, str]] = MappingProxyType({"sum": "sum", "mul": "multiply", "ave": "mean"})


@dataclass(frozen=True, kw_only=True, slots=True)
class _Layer:
    """A recurrent layer, perhaps within a Bidirectional.

    Attributes:
        kind: The name of its class.
        config: Its configuration.
        path: The path of its variables within those of the call.
        hint: The end of the layer's name.
    """

    kind: str
    config: Mapping[str, Any]
    path: str = ""
    hint: str = ""

    def is_set(self, key: str) -> bool:
        """Return whether a boolean setting is true."""
        return self.config.get(key) is True


def _recurrent(call: LayerCall) -> TensorRef | list[TensorRef]:
    output, states = _run(call, _Layer(kind=call.kind, config=call.config), _initial(call))
    return [output, *states] if states else output


def _initial(call: LayerCall) -> list[TensorRef]:
    given = call.options.get("initial_state")
    states = given if isinstance(given, list) else [] if given is None else [given]
    states += call.arguments[1:]
    if not all(isinstance(state, TensorRef) for state in states):
        raise UnsupportedError("has initial states that are no tensors of the model")
    return states


def _run(call: LayerCall, layer: _Layer, initial: Sequence[TensorRef]) -> tuple[TensorRef, list[TensorRef]]:
    """Return the output of a layer, and its final states where it returns these."""
    reject_mask(call)
    if layer.is_set("stateful"):
        raise UnsupportedError("keeps its state for the next call (stateful=True); a network computes each row alone")
    x = call.inputs[0]
    if len(x.shape) != 2:
        raise UnsupportedError(f"gets rows of shape {list(x.shape)}; steps and their values are needed")
    if layer.is_set("go_backwards"):
        x = x.with_index(x.index[::-1])
    cells = _cells(call, layer)
    returns_state = layer.is_set("return_state")
    if len(cells) > 1 and (returns_state or initial):
        raise UnsupportedError("has several cells and gets or returns their states; use a layer for each cell")
    for cell in cells:
        run = recur(call.graph, f"{call.name}{layer.hint}", cell, x, initial, final_cell=returns_state)
        x = run.hidden
    output = run.hidden if layer.is_set("return_sequences") else run.final[0]
    return output, list(run.final) if returns_state else []


def _cells(call: LayerCall, layer: _Layer) -> list[Cell]:
    path = f"{layer.path}/cell".lstrip("/")
    if layer.kind != "RNN":
        return [_cell(call, layer.kind, layer.config, path)]
    kind, config = _wrapped(layer.config.get("cell"))
    if kind != "StackedRNNCells":
        return [_cell(call, kind, config, path)]
    counts, found = Counter[str](), []
    for document in config.get("cells") or []:
        kind, inner = _wrapped(document)
        name = snake_case(kind)
        number = counts[name]
        counts[name] += 1
        found.append(_cell(call, kind, inner, f"{path}/cells/{name}{f'_{number}' if number else ''}"))
    if not found:
        raise UnsupportedError("has no cells")
    return found


def _wrapped(document: Any) -> tuple[str, Mapping[str, Any]]:
    """Return the class and configuration of a layer within another."""
    config = document.get("config") if isinstance(document, Mapping) else None
    if not isinstance(config, Mapping):
        raise UnsupportedError("has no layer in it that Keras 3 writes")
    if not str(document.get("module")).startswith("keras") or document.get("registered_name") is not None:
        raise UnsupportedError(f"has {document.get('class_name')} in it, which is no layer of Keras's own")
    return str(document.get("class_name")), config


def _cell(call: LayerCall, name: str, config: Mapping[str, Any], path: str) -> Cell:
    if name not in _KINDS:
        raise UnsupportedError(f"has a cell {name}; {', '.join(kind for kind in _KINDS if 'Cell' in kind)} are read")
    kind = _KINDS[name]
    if config.get("quantization_config") is not None:
        raise UnsupportedError("has rounded weights; save the model before it is quantized")
    kernel, own, *rest = call.variables(path)
    biases: Sequence[Array] = (
        list(rest[0].reshape(-1, kernel.shape[-1])) if rest else []
    )  # two of reset_after, else one
    bias, recurrent_bias, *_ = [*(ordered(kind, each, "keras") for each in biases), None, None]
    return Cell(
        kind=kind,
        weights=ordered(kind, kernel.T, "keras"),
        recurrent_weights=ordered(kind, own.T, "keras"),
        bias=bias,
        recurrent_bias=recurrent_bias,
        gate_activation=_function(config, "recurrent_activation", "sigmoid"),
        state_activation=_function(config, "activation", "tanh"),
        reset="after" if config.get("reset_after", True) else "before",
    )


def _function(config: Mapping[str, Any], key: str, default: str) -> str:
    found = activation_of(config.get(key, default))
    if not isinstance(found, str) or found not in FUNCTIONS:
        raise UnsupportedError(f"has {key}={config.get(key)!r} in its cell; {', '.join(FUNCTIONS)} are read")
    return found


def _bidirectional(call: LayerCall) -> TensorRef | list[TensorRef]:
    """Read the steps in both directions, and merge what both layers return."""
    initial = _initial(call)
    half = len(initial) // 2
    parts = []
    for key, path, states in (
        ("layer", "forward_layer", initial[:half]),
        ("backward_layer", "backward_layer", initial[half:]),
    ):
        kind, config = _wrapped(call.config.get(key))
        layer = _Layer(kind=kind, config=config, path=path, hint=f"_{path.removesuffix('_layer')}")
        parts.append((layer, *_run(call, layer, states)))
    (one, forward, first), (other, backward, second) = parts
    if one.is_set("return_sequences") != other.is_set("return_sequences"):
        raise UnsupportedError("has two layers of which only one returns its sequence")
    if one.is_set("return_sequences"):
        backward = backward.with_index(backward.index[::-1])
    merge = call.config.get("merge_mode", "concat")
    if merge is None:
        return [forward, backward, *first, *second]
    if merge != "concat" and merge not in _MERGES:
        raise UnsupportedError(f"has merge_mode={merge!r}; concat, {', '.join(_MERGES)} and None are read")
    if merge == "concat":
        merged = call.graph.concatenate([forward, backward])
    else:
        merged = call.graph.add_layer(f"{call.name}_merged", [forward, backward], merge=_MERGES[merge], **PASS)
        merged = merged.reshape(*forward.shape)
    return [merged, *first, *second] if first or second else merged


def time_distributed(table: Mapping[str, LayerReader]) -> LayerReader:
    """Return the reader of a layer that is applied to each step of a sequence."""

    def read(call: LayerCall) -> TensorRef:
        reject_mask(call)
        kind, config = _wrapped(call.config.get("layer"))
        if kind not in table:
            raise UnsupportedError(f"has {kind} in it, which is not supported")
        x = call.input
        inner = replace(call, kind=kind, config=config, variables=lambda path="": call.variables(f"layer/{path}"))
        if kind in _ON_LAST_AXIS:
            return _one(table[kind], replace(inner, arguments=(x,)))
        steps = [
            _one(table[kind], replace(inner, arguments=(x.take(step),), name=f"{call.name}_step_{step}"))
            for step in range(x.shape[0])
        ]
        return call.graph.stack(steps, axis=0)

    return read


_ON_LAST_AXIS: Final = frozenset({"Dense", "Activation", "Dropout", "ReLU", "LeakyReLU", "ELU"})
"""Layers that compute each place of all axes but the last by itself, so that all steps are one call."""


def _one(read: Callable[[LayerCall], TensorRef | list[TensorRef]], call: LayerCall) -> TensorRef:
    call.graph.hint = call.name
    found = read(call)
    if isinstance(found, list):
        raise UnsupportedError("has a layer in it that returns several tensors")
    return found


RECURRENT: Final[Mapping[str, LayerReader]] = MappingProxyType(
    {**dict.fromkeys(("LSTM", "GRU", "SimpleRNN", "RNN"), _recurrent), "Bidirectional": _bidirectional}
)
"""By class name."""
