"""Reads a module into a `Source`: its layers, its outputs, and the module itself to compare with."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any, Final

import numpy as np

from forwardpass.errors import Fault
from forwardpass.importers.graph import LayerOperations, TensorRef
from forwardpass.importers.graph.passes.pass_through import simplify
from forwardpass.importers.pytorch.exported_program import NotFollowedError
from forwardpass.importers.pytorch.graph_interpreter import GraphInterpreter
from forwardpass.importers.pytorch.input_shapes import ModuleInput, infer_inputs
from forwardpass.importers.pytorch.integers import IntegerRef
from forwardpass.importers.pytorch.onnx_road import read_by_onnx
from forwardpass.importers.pytorch.program import Program, compute_rows, dtype_of, unsupported_module
from forwardpass.importers.pytorch.rows_axis import MovedRef
from forwardpass.importers.pytorch.tracer import copied, trace
from forwardpass.importers.pytorch.wrappers import unwrap
from forwardpass.importers.source import RowSampler, Source
from forwardpass.importers.unsupported import UnsupportedModelError, unsupported_parts
from forwardpass.spec.names import identifier_fault
from forwardpass.spec.network import default_names
from forwardpass.tensors import Array

_STRETCH: Final = 10.0
"""The factor of every other random row, which reaches where activations saturate."""


def read(model: Any) -> Source:
    """Read a module, an exported program, or a model around a module.

    Raises:
        UnsupportedModelError: Something in it cannot be expressed; `faults` has each place.
    """
    import torch

    model = unwrap(model)
    if isinstance(model, torch.jit.ScriptFunction):
        message = "is a function of TorchScript; import a module, as `torch.jit.script(module)` or the module itself"
        raise unsupported_module(type(model).__name__, message)
    if isinstance(model, torch.jit.ScriptModule):
        return _scripted(model)
    try:
        program = trace(model)
    except NotFollowedError as error:
        return read_by_onnx(error.module, error.inputs, str(error))
    try:
        interpreter, named = _followed(program)
    except UnsupportedModelError as error:
        program, interpreter, named = _followed_otherwise(program, error)
    outputs: list[str] = []
    for rows in named.values():
        interpreter.graph.hint = "output"
        outputs.append(interpreter.graph.output(rows, outputs))
    layers, outputs = simplify(interpreter.graph.layers, outputs)
    _call_outputs(layers, outputs, list(named))
    several = len(program.inputs) > 1
    widths = [int(np.prod(each.shape, dtype=int)) for each in program.inputs]
    groups: list[dict[str, Any]] = [
        {"name": interpreter.groups[each.name], "width": width}
        for each, width in zip(program.inputs, widths, strict=True)
    ]
    sources = [group["name"] for group in groups] if several else ["inputs"]
    _check_read(layers, sources)
    categories = _categories(interpreter.graph, sources, widths)
    return Source(
        framework=f"PyTorch {torch.__version__.partition('+')[0]}",
        model=program.model_name,
        width=sum(widths),
        names=tuple(name for each in program.inputs for name in _input_names(each)) if several else (),
        mean=None,
        scale=None,
        layers=tuple(layers),
        outputs=(),
        classes=(),
        compute=_predictor(program),
        groups=tuple(groups) if several else (),
        output_layers=tuple(outputs) if len(outputs) > 1 or outputs[-1] != layers[-1]["name"] else (),
        features=_features(categories, sum(widths)),
        sampler=_sample(categories, sum(widths)),
        dtype=program.dtype,
    )


def _followed(program: Program) -> tuple[GraphInterpreter, dict[str, TensorRef]]:
    """Interpret a program; return the interpreter and the outputs by name."""
    interpreter = GraphInterpreter(program)
    return interpreter, _named(interpreter.follow())


def _followed_otherwise(
    program: Program, error: UnsupportedModelError
) -> tuple[Program, GraphInterpreter, dict[str, TensorRef]]:
    """Interpret what `torch.export` makes of a module, or raise the error of the first program, which has its names."""
    if program.otherwise is None:
        raise error
    try:
        other: Program = program.otherwise()
        return other, *_followed(other)
    except (UnsupportedModelError, NotFollowedError):
        raise error from None


def _scripted(model: Any) -> Source:
    """Read a TorchScript, whose code neither torch.fx nor torch.export follows."""
    module = copied(model).eval()
    names = [known.name for known in module.forward.schema.arguments[1:] if not known.has_default_value()]
    inputs = infer_inputs(module, names, dtype_of(module.state_dict()), {})
    if inputs is None:
        message = (
            "is TorchScript, and the shapes of its inputs cannot be determined; import the module that it was made of"
        )
        raise unsupported_module(type(model).__name__, message)
    return read_by_onnx(module, inputs, "it is TorchScript, which torch.fx and torch.export cannot follow")


def _named(outputs: Any) -> dict[str, TensorRef]:
    """Return the outputs by name: `output` and a number where the model has no names."""
    parts = [("output", outputs)] if isinstance(outputs, TensorRef) else [*_parts(outputs, "")]
    outputs = dict(parts)
    if len(outputs) < len(parts):
        names = [name for name, _ in parts]
        twice = next(name for name in names if names.count(name) > 1)
        message = f"two of its outputs would be named {twice!r}; rename one of them in what it returns"
        raise unsupported_module("model", message)
    wrong = next(
        (name for name, value in outputs.items() if not isinstance(value, TensorRef) or isinstance(value, IntegerRef)),
        None,
    )
    if not outputs or wrong is not None:
        what = "what it returns" if wrong is None else f"its output {wrong!r}"
        message = f"{what} is no tensor of numbers that depend on the rows; return tensors, a tuple or a dict of them"
        raise unsupported_module("model", message)
    moved = next((name for name, value in outputs.items() if isinstance(value, MovedRef)), None)
    if moved is not None:
        message = f"its output {moved!r} has its rows not as the first axis; bring them there, as by `movedim`"
        raise unsupported_module("model", message)
    found: dict[str, TensorRef] = outputs
    return found


def _parts(outputs: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Yield the parts of tuples, lists and dicts in them, each with the names that lead to it."""
    if isinstance(outputs, Mapping):
        pairs = [(str(key), value) for key, value in outputs.items()]
    elif isinstance(outputs, tuple | list):
        fields = getattr(outputs, "_fields", None) or [str(index) for index in range(len(outputs))]
        pairs = list(zip(fields, outputs, strict=True))
    elif name:
        yield (f"output_{name}" if name.partition("_")[0].isdigit() else name), outputs
        return
    else:
        return
    for key, value in pairs:
        yield from _parts(value, f"{name}_{key}" if name else key)


def _call_outputs(layers: Sequence[dict[str, Any]], outputs: list[str], names: Sequence[str]) -> None:
    """Name output layers after the outputs that the model names."""
    for place, (layer, name) in enumerate(zip(list(outputs), names, strict=True)):
        taken = {each["name"] for each in layers} | {"inputs"}
        if re.fullmatch(r"output(_\d+)?", name) or name in taken or identifier_fault(name, 100) is not None:
            continue
        for each in layers:
            each["name"] = name if each["name"] == layer else each["name"]
            each["from"] = [name if source == layer else source for source in each["from"]]
        outputs[place] = name


def _input_names(known: ModuleInput) -> tuple[str, ...]:
    width = int(np.prod(known.shape, dtype=int))
    return (known.name,) if width == 1 else default_names(known.name, width)


def _check_read(layers: Sequence[Mapping[str, Any]], sources: Sequence[str]) -> None:
    used = {source for layer in layers for source in layer["from"]}
    unused = [source for source in sources if source not in used]
    if unused:
        message = "leads to no output; leave this input out"
        faults = [Fault(path=f"model.forward({source})", message=message) for source in unused]
        raise unsupported_parts(faults, kind="module")


def _predictor(program: Program) -> Callable[[Array], Array]:
    """Return a function that computes rows by the model, in its own dtype."""

    def compute(rows: Array) -> Array:
        if program.batch is None:
            return compute_rows(program.call, program.inputs, program.dtype, rows)
        # It was exported for a fixed number of rows: the last batch is padded.
        short = -len(rows) % program.batch
        filled = np.concatenate([rows, np.repeat(rows[-1:], short, axis=0)])
        parts = [
            compute_rows(program.call, program.inputs, program.dtype, filled[start : start + program.batch])
            for start in range(0, len(filled), program.batch)
        ]
        return np.concatenate(parts)[: len(rows)]

    return compute


def _categories(graph: LayerOperations, sources: Sequence[str], widths: Sequence[int]) -> dict[int, range]:
    """Return the categories of each input that is looked up, by its column."""
    starts = dict(zip(sources, [0, *accumulate(widths)], strict=False))
    return {starts[source] + place: known for (source, place), known in graph.whole.categories.items()}


def _features(categories: Mapping[int, range], width: int) -> tuple[Mapping[str, Any], ...]:
    """Return the range of each input that is looked up. PyTorch rejects other categories; so does the network."""
    if not categories:
        return ()
    known = {
        column: {"range": [known.start, known.stop - 1], "out_of_range": "refuse"}
        for column, known in categories.items()
    }
    return tuple(known.get(column, {}) for column in range(width))


def _sample(categories: Mapping[int, range], width: int) -> RowSampler | None:
    """Return a sampler that makes categories where the model looks them up."""
    if not categories:
        return None

    def sample(random: np.random.Generator, count: int) -> Array:
        rows = random.normal(size=(count, width))
        rows[1::2] *= _STRETCH
        for column, known in categories.items():
            rows[:, column] = random.integers(known.start, known.stop, size=count)
        return rows

    return sample
