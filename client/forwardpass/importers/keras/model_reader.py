"""Reads the layers of a model in the order of their dependencies, and collects every fault."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from types import MappingProxyType
from typing import Any, Final

from forwardpass.errors import Fault
from forwardpass.importers.graph import INPUTS, PASS, LayerOperations, TensorRef, safe_name
from forwardpass.importers.input_constraints import InputConstraints
from forwardpass.importers.keras.activations import FUNCTION_LAYERS
from forwardpass.importers.keras.arithmetic import ARITHMETIC
from forwardpass.importers.keras.arranging import ARRANGING
from forwardpass.importers.keras.attention import ATTENDING, ATTENTION
from forwardpass.importers.keras.convolutions import CONVOLUTIONS
from forwardpass.importers.keras.elementwise import ELEMENTWISE
from forwardpass.importers.keras.layer_call import LayerCall, LayerReader, check_width
from forwardpass.importers.keras.masks import Mask, mask_after, masking
from forwardpass.importers.keras.merging import MERGING, concatenate
from forwardpass.importers.keras.model_config import (
    MODELS,
    InboundNode,
    LayerConfig,
    ModelConfig,
    Tensor,
    parse_config,
    tensors_in,
)
from forwardpass.importers.keras.normalization import NORMALIZATIONS, NORMALIZING
from forwardpass.importers.keras.pooling import POOLING
from forwardpass.importers.keras.preprocessing import ENCODING
from forwardpass.importers.keras.products import MULTIPLYING, PRODUCTS
from forwardpass.importers.keras.recurrent import RECURRENT, time_distributed
from forwardpass.importers.keras.reductions import ALONG_AXES
from forwardpass.importers.keras.reshaping import SHAPING
from forwardpass.importers.keras.unsupported import reason_for
from forwardpass.importers.keras.vocabulary import vocabulary
from forwardpass.importers.keras.weighted import WEIGHTED
from forwardpass.importers.keras.weights import Weights
from forwardpass.importers.keras.whole_numbers import check_whole
from forwardpass.importers.unsupported import UnsupportedError, unsupported_model, unsupported_parts

_ALONE: Final = {
    **WEIGHTED,
    **FUNCTION_LAYERS,
    **MERGING,
    **SHAPING,
    **CONVOLUTIONS,
    **POOLING,
    **ENCODING,
    **RECURRENT,
    **NORMALIZING,
    **MULTIPLYING,
    **ATTENDING,
    "Masking": masking,
}
LAYERS: Final[Mapping[str, LayerReader]] = MappingProxyType({**_ALONE, "TimeDistributed": time_distributed(_ALONE)})
"""The reader of each layer, by its class."""

OPERATIONS: Final[Mapping[str, LayerReader]] = MappingProxyType(
    {
        **ARITHMETIC,
        **ELEMENTWISE,
        **ARRANGING,
        **ALONG_AXES,
        **PRODUCTS,
        **ATTENTION,
        **NORMALIZATIONS,
        "Concatenate": concatenate,
    }
)
"""The reader of each operation such as `+`, by its class."""

_DTYPES: Final = ("float32", "float64")
_HALVES: Final = ("float16", "bfloat16")
_WHOLE: Final = ("int", "uint")
"""How the dtypes of whole numbers begin."""
_DEEPEST: Final = 20
_FIX: Final = (
    ": fix them by `fixed = keras.models.clone_model(model, input_tensors=keras.Input(shape))` and "
    "`fixed.set_weights(model.get_weights())`"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class KerasInput:
    """An input of the whole model.

    Attributes:
        name: The name of its layer.
        group: The name of the input group.
        shape: The shape of one row.
        dtype: The dtype of its values, `string` for texts.
    """

    name: str
    group: str
    shape: tuple[int, ...]
    dtype: str

    @property
    def is_integer(self) -> bool:
        """Whether its values are integers."""
        return self.dtype.startswith(_WHOLE)

    @property
    def is_text(self) -> bool:
        """Whether its values are texts."""
        return self.dtype == "string"

    @property
    def width(self) -> int:
        """The number of values in one row."""
        return prod(self.shape)


class ModelReader:
    """Reader of one model.

    Attributes:
        graph: The builder of the layers.
        constraints: The constraints on the inputs.
        inputs: The model's inputs in order.
        outputs: The tensor of each output in order.
        dtypes: The dtypes that layers compute in.
    """

    def __init__(self, structure: ModelConfig, weights: Weights, assets: Mapping[str, bytes]) -> None:
        self.graph = LayerOperations()
        self.dtypes: set[str] = set()
        self._structure = structure
        self._weights = weights
        self._assets = assets
        self._faults: list[Fault] = []
        self.inputs = _inputs(structure)
        self.constraints = InputConstraints({each.group: each.width for each in self.inputs})

    def read(self) -> list[TensorRef]:
        """Read the whole model, and return its outputs.

        Raises:
            UnsupportedModelError: Something in it cannot be expressed.
        """
        given = {}
        for each in self.inputs:
            values = self.graph.add_inputs(each.width, each.group).reshape(*each.shape)
            if each.is_integer:
                self.constraints.mark_integers(values)
            given[Tensor(layer=each.name, call=0, place=0)] = values
        outputs = self._follow(self._structure, given, {}, "model", "", 0)
        self._check_texts()
        if self._faults:
            raise unsupported_parts(self._faults)
        return self._settled([values for values in outputs if values is not None])

    def _check_texts(self) -> None:
        """Add a fault for every input of texts without a vocabulary."""
        start = 0
        for each in self.inputs:
            columns = range(start, start + each.width)
            start += each.width
            if each.is_text and not self._faults and not self.constraints.categories.keys() >= set(columns):
                what = "InputLayer takes texts that no StringLookup reads; put one after it"
                self._faults.append(Fault(path=f"model.layers[{each.name}]", message=what))

    def _follow(
        self,
        structure: ModelConfig,
        given: Mapping[Tensor, TensorRef | None],
        masks: dict[Tensor, Mask],
        path: str,
        prefix: str,
        depth: int,
    ) -> list[TensorRef | None]:
        """Return the outputs of a model; each tensor is read after the tensors that it depends on."""
        found: dict[Tensor, TensorRef | None] = dict(given)
        targets = list(tensors_in(structure.outputs))
        readers = Counter(tensor for part in structure.parts.values() for call in part.calls for tensor in _read(call))
        readers.update(targets)
        for tensor, values in given.items():
            self._share(values, readers[tensor])
        stack, open_ = targets[::-1], set[Tensor]()
        while stack:
            tensor = stack[-1]
            if tensor in found:
                stack.pop()
                continue
            part, call = _call_of(structure, tensor, path)
            missing = [source for source in _read(call) if source not in found]
            if missing:
                if tensor in open_:
                    raise unsupported_model(f"{path}.layers[{part.name}]", "needs its own output")
                open_.add(tensor)
                stack += missing[::-1]
                continue
            results, mask = self._call(part, call, found, masks, path, prefix, depth)
            for place in range(max(len(results), tensor.place + 1)):
                made = Tensor(layer=tensor.layer, call=tensor.call, place=place)
                found[made] = results[place] if place < len(results) else None
                self._share(found[made], readers[made])
            if mask is not None:
                masks[Tensor(layer=tensor.layer, call=tensor.call, place=0)] = mask
        return [found[tensor] for tensor in targets]

    def _call(
        self,
        part: LayerConfig,
        call: InboundNode,
        found: Mapping[Tensor, TensorRef | None],
        masks: Mapping[Tensor, Mask],
        path: str,
        prefix: str,
        depth: int,
    ) -> tuple[list[TensorRef | None], Mask | None]:
        """Return the outputs of one call, None where the layer, or one that it reads, is rejected; and their mask."""
        place, name = f"{path}.layers[{part.name}]", f"{prefix}{part.name}"
        try:
            if part.kind in MODELS and part.is_layer:
                return self._model(part, call, found, masks, place, f"{name}.", depth)
            return self._layer(part, call, found, masks, name)
        except UnsupportedError as error:
            fault = Fault(path=place, message=f"{part.kind} {error}")
            if fault not in self._faults:
                self._faults.append(fault)
            return [None], None

    def _model(
        self,
        part: LayerConfig,
        call: InboundNode,
        found: Mapping[Tensor, TensorRef | None],
        masks: Mapping[Tensor, Mask],
        path: str,
        prefix: str,
        depth: int,
    ) -> tuple[list[TensorRef | None], Mask | None]:
        """Read a model within the model."""
        if depth == _DEEPEST:
            raise UnsupportedError(f"is nested in {_DEEPEST} other models; at most {_DEEPEST} are supported")
        document = {"class_name": part.kind, "module": "keras", "config": part.config}
        inner = parse_config(document, path, part.weights)
        names = list(tensors_in(inner.inputs))
        given = list(tensors_in(list(call.arguments)))
        values = [found[tensor] for tensor in given]
        if len(names) != len(values):
            raise UnsupportedError(f"is given {len(values)} tensors, and has {len(names)} inputs")
        within = {name: masks[tensor] for name, tensor in zip(names, given, strict=True) if tensor in masks}
        outputs = self._follow(inner, dict(zip(names, values, strict=True)), within, path, prefix, depth + 1)
        return outputs, within.get(next(tensors_in(inner.outputs)))

    def _layer(
        self,
        part: LayerConfig,
        node: InboundNode,
        found: Mapping[Tensor, TensorRef | None],
        masks: Mapping[Tensor, Mask],
        name: str,
    ) -> tuple[list[TensorRef | None], Mask | None]:
        table = LAYERS if part.is_layer else OPERATIONS
        if part.kind not in table:
            raise UnsupportedError(reason_for(part.kind, ", ".join(table)))
        read = _read(node)
        if any(found[tensor] is None for tensor in read):
            return [None], None
        if part.is_layer:
            self._note_dtype(part.config.get("dtype"))
        call = LayerCall(
            kind=part.kind,
            name=name,
            config=part.config,
            arguments=tuple(_filled(value, found) for value in node.arguments),
            options={key: _filled(value, found) for key, value in node.options.items()},
            graph=self.graph,
            constraints=self.constraints,
            variables=lambda path="": self._weights.of(
                f"{part.weights}/{path}".rstrip("/"), None if path else part.name
            ),
            vocabulary=lambda: vocabulary(self._assets, part.weights),
            whole=tuple(x for each in read if (x := found[each]) is not None and each.dtype.startswith(_WHOLE)),
            masks=_masks(node, found, masks),
        )
        call.check_options()
        check_whole(call)
        self.graph.hint = name
        try:
            values = table[part.kind](call)
        except (ValueError, TypeError, IndexError, OverflowError) as error:
            raise UnsupportedError(f"has a configuration or weights that do not fit it: {error}") from error
        results = values if isinstance(values, list) else [values]
        for each in results:
            check_width(each.size)
        return list(results), mask_after(call) if part.is_layer else None

    def _note_dtype(self, dtype: Any) -> None:
        """Note the dtype of a layer."""
        config = dtype.get("config") if isinstance(dtype, Mapping) else None
        settings = config if isinstance(config, Mapping) else {}
        if "mode" in settings or "source_name" in settings:
            raise UnsupportedError("is quantized; import the model as it was before `quantize`")
        name = settings.get("name") if isinstance(dtype, Mapping) else dtype
        if name not in _DTYPES:
            raise UnsupportedError(f"computes in {name!r}; float32 and float64 are read")
        self.dtypes.add(str(name))

    def _share(self, values: TensorRef | None, readers: int) -> None:
        """Note inputs with several readers, so that none of these standardizes the inputs for all."""
        if readers > 1 and values is not None:
            self.constraints.mark_shared(values)

    def _settled(self, outputs: list[TensorRef]) -> list[TensorRef]:
        """Return each output as all nodes of its own layer."""
        materialize: list[TensorRef] = []
        for values in outputs:
            found = self.graph.materialize(values, "output")
            taken = {one.sources for one in materialize}
            if self.graph.is_input(found.sources[0]) or found.sources in taken:
                found = self.graph.add_layer("output", values, **PASS)
            materialize.append(found)
        return materialize


def _inputs(structure: ModelConfig) -> list[KerasInput]:
    """Return the inputs of a model in order."""
    names = [tensor.layer for tensor in tensors_in(structure.inputs)]
    if not names or len(set(names)) < len(names) or not structure.parts.keys() >= set(names):
        raise unsupported_model("model", "has no inputs, or names layers as inputs that are not there")
    return [_input(structure.parts[name], alone=len(names) == 1) for name in names]


def _input(part: LayerConfig, *, alone: bool) -> KerasInput:
    place = f"model.layers[{part.name}]"
    if part.kind != "InputLayer":
        raise unsupported_model(place, f"{part.kind} is no InputLayer, and is named as an input")
    dtype = str(part.config.get("dtype"))
    if dtype in _HALVES:
        raise unsupported_model(place, f"InputLayer takes {dtype}, which rounds the rows; build the model in float32")
    shape = part.config.get("batch_shape")
    if not isinstance(shape, list) or not all(isinstance(size, int) and size > 0 for size in shape[1:]):
        message = f"InputLayer has the shape {shape!r}; each row needs a fixed number of values"
        raise unsupported_model(place, f"{message}{_FIX if isinstance(shape, list) and None in shape[1:] else ''}")
    try:
        check_width(prod(shape[1:]))
    except UnsupportedError as error:
        raise unsupported_model(place, f"InputLayer {error}") from None
    return KerasInput(
        name=part.name,
        group=INPUTS if alone else safe_name(part.name),
        shape=tuple(shape[1:]),
        dtype=dtype,
    )


def _read(call: InboundNode) -> list[Tensor]:
    """Return the tensors among the arguments of a call."""
    return [*tensors_in(list(call.arguments)), *tensors_in(dict(call.options))]


def _masks(
    call: InboundNode, found: Mapping[Tensor, TensorRef | None], masks: Mapping[Tensor, Mask]
) -> tuple[Mask | None, ...]:
    """Return the masks that a call is given, or else those of its tensors."""
    given = call.options.get("mask")
    if given is not None:
        return tuple(_mask_of(found, part) for part in (given if isinstance(given, list) else [given]))
    named = [call.options[key] for key in ("value", "key") if isinstance(call.options.get(key), Tensor)]
    return tuple(masks.get(tensor) for tensor in [*tensors_in(list(call.arguments)), *named])


def _mask_of(found: Mapping[Tensor, TensorRef | None], given: Any) -> Mask | None:
    values = found[given] if isinstance(given, Tensor) else None
    return None if values is None else lambda: values


def _call_of(structure: ModelConfig, tensor: Tensor, path: str) -> tuple[LayerConfig, InboundNode]:
    part = structure.parts.get(tensor.layer)
    if part is None:
        raise unsupported_model(path, f"has no layer {tensor.layer!r}, which another one reads")
    if not 0 <= tensor.call < len(part.calls):
        raise unsupported_model(
            f"{path}.layers[{part.name}]", f"has {len(part.calls)} calls, and is read at call {tensor.call}"
        )
    return part, part.calls[tensor.call]


def _filled(value: Any, found: Mapping[Tensor, TensorRef | None]) -> Any:
    """Replace the tensors of an argument by their references."""
    if isinstance(value, Tensor):
        return found[value]
    if isinstance(value, list):
        return [_filled(part, found) for part in value]
    return value
