"""The graph of a module: by `torch.fx`, or where that cannot trace it by `torch.export`."""

import copy
import inspect
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from types import MappingProxyType
from typing import Any, Final

from forwardpass.errors import Fault
from forwardpass.importers.errors import UnsupportedModelError
from forwardpass.importers.pytorch.building import RefusedError
from forwardpass.importers.pytorch.modules import MODULES, settle
from forwardpass.importers.pytorch.probing import Input, probe

_DTYPES: Final = ("float32", "float64")
_WIDTHS: Final[Mapping[str, str]] = MappingProxyType({"Linear": "in_features", "BatchNorm1d": "num_features"})
"""What says the width of the rows that a module reads."""
_SAY_SHAPES: Final = (
    "import `torch.export.export(module, (rows,))`, whose example says what each input is: a tensor of two or more rows"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Program:
    """A traced module.

    Attributes:
        title: What was traced.
        graph: A `torch.fx.Graph`.
        inputs: What it reads, by the names of the graph's placeholders.
        constants: What placeholders are that are no inputs: parameters and buffers.
        root: What the graph's modules and attributes are looked up in.
        call: Calls the model with a tensor for each input.
        answer: Puts what the graph returns into the form that the model returns.
        dtype: In which it computes.
        batch: How many rows it is called with, or None when that is left open.
    """

    title: str
    graph: Any
    inputs: tuple[Input, ...]
    constants: Mapping[str, Any]
    root: Any
    call: Callable[..., Any]
    answer: Callable[[Any], Any]
    dtype: str
    batch: int | None = None


def trace(model: Any) -> Program:
    """Trace a module, a copy of it that is set to inference; or read what `torch.export.export` returned.

    Raises:
        UnsupportedModelError: It cannot be traced, or its inputs cannot be told.
    """
    from torch.export import ExportedProgram

    if isinstance(model, ExportedProgram):
        return _exported(model, "ExportedProgram")
    try:
        module = _copied(model).eval().requires_grad_(requires_grad=False)
    except Exception as error:
        raise _refused(type(model).__name__, f"cannot be copied: {error!r}") from error
    return _traced(module)


def _copied(model: Any) -> Any:
    """Copy a module; weights that hooks computed are no parameters, and are copied as they are."""
    memo: dict[int, Any] = {}
    for module in model.modules():
        for value in vars(module).values():
            if hasattr(value, "grad_fn") and value.grad_fn is not None:
                memo[id(value)] = value.detach().clone()
    return copy.deepcopy(model, memo)


def _traced(module: Any) -> Program:
    import torch

    title = type(module).__name__
    if type(module).__name__ in MODULES and type(module).__module__.startswith("torch.nn"):
        module = torch.nn.Sequential(module)
    names = _input_names(module)
    for path, part in module.named_modules():
        try:
            if path == "" or type(part).__name__ in MODULES:
                settle(part)
        except RefusedError as error:
            raise _refused(f"model.{path}".rstrip("."), f"{type(part).__name__} {error}") from None
    tracer = torch.fx.Tracer()
    tracer.record_stack_traces = True
    defaults = {name: known.default for name, known in _parameters(module).items() if name not in names}
    try:
        graph = tracer.trace(module, concrete_args=defaults or None)
    except Exception as error:  # noqa: BLE001 - a module's own code runs here
        inputs = _told(
            module, names, {}, f"torch.fx cannot trace it ({_first_line(error)}), and its inputs are not told"
        )
        return _exported(_export(module, inputs, error), title, dict(zip(names, inputs, strict=True)))
    inputs = _told(module, names, _hints(module, graph), "the shapes of its inputs cannot be told")
    return Program(
        title=title,
        graph=graph,
        inputs=inputs,
        constants=defaults,
        root=module,
        call=module,
        answer=lambda answer: answer,
        dtype=_dtype(module.state_dict()),
    )


def _export(module: Any, inputs: Sequence[Input], why: Exception) -> Any:
    import torch

    dtype = getattr(torch, _dtype(module.state_dict()))
    rows = tuple(torch.zeros((2, *each.shape), dtype=torch.int64 if each.whole else dtype) for each in inputs)
    dynamic = tuple({0: torch.export.Dim("rows")} for _ in inputs)
    # What it prints of a module that it cannot trace is in the error.
    logging.disable()
    try:
        with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            return torch.export.export(module, rows, dynamic_shapes=dynamic)
    except Exception as error:
        raise _refused(
            type(module).__name__,
            f"torch.fx cannot trace it ({_first_line(why)}), nor can torch.export ({_first_line(error)}); "
            "what depends on the rows' numbers or count is no feed-forward network: leave out such conditions",
        ) from error
    finally:
        logging.disable(logging.NOTSET)


def _exported(program: Any, title: str, known: Mapping[str, Input] | None = None) -> Program:
    """Read an exported program; its example's first axes are the rows."""
    import torch

    signature = program.graph_signature
    if signature.buffers_to_mutate or signature.user_inputs_to_mutate:
        raise _refused(title, "changes its own numbers while it computes; call `.eval()` before it is exported")
    values: dict[str, Any] = {
        node.name: node.meta.get("val") for node in program.graph.nodes if node.op == "placeholder"
    }
    state = {**program.state_dict, **program.constants}
    constants = {
        name: state[target]
        for names in (
            signature.inputs_to_parameters,
            signature.inputs_to_buffers,
            signature.inputs_to_lifted_tensor_constants,
        )
        for name, target in names.items()
    }
    inputs, counts = [], set()
    for name in signature.user_inputs:
        value: Any = values.get(name)
        if getattr(value, "ndim", 0) < 1:
            raise _refused(title, f"has the input {name!r}, which is no tensor of rows")
        inputs.append(Input(name=name, shape=tuple(map(int, value.shape[1:])), whole=not value.dtype.is_floating_point))
        counts.add(value.shape[0] if isinstance(value.shape[0], int) else None)
    if len(counts) != 1:
        raise _refused(title, "has inputs of different numbers of rows")
    if program.call_spec.in_spec.type is tuple and program.call_spec.in_spec.child(1).num_leaves:
        raise _refused(title, "has inputs by keyword; export it with all of them by position")
    spec = program.call_spec.out_spec
    return Program(
        title=title if known is not None else _exported_title(program),
        graph=program.graph,
        inputs=tuple(inputs),
        constants=constants,
        root=program.graph_module,
        call=program.module(),
        answer=lambda answer: torch.utils._pytree.tree_unflatten(list(answer), spec),  # noqa: SLF001
        dtype=_dtype(state),
        batch=counts.pop(),
    )


def _exported_title(program: Any) -> str:
    """Return the class of the module that was exported, as far as its graph knows it."""
    stacks = (node.meta.get("nn_module_stack") for node in program.graph.nodes)
    classes = [kind for stack in stacks if stack for path, kind in stack.values() if path == ""]
    name = str(classes[0] if classes else "").rpartition(".")[2]
    return f"ExportedProgram({name})" if name else "ExportedProgram"


def _parameters(module: Any) -> dict[str, inspect.Parameter]:
    return dict(inspect.signature(module.forward).parameters)


def _input_names(module: Any) -> list[str]:
    """Return the inputs that a module must be given; others have the values that they have when left out."""
    names = []
    for name, parameter in _parameters(module).items():
        if parameter.kind in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.KEYWORD_ONLY}:
            if parameter.kind == parameter.KEYWORD_ONLY and parameter.default is parameter.empty:
                raise _refused(type(module).__name__, f"needs {name!r} by keyword; inputs are given by position")
            continue
        if parameter.default is parameter.empty:
            names.append(name)
    if not names:
        raise _refused(type(module).__name__, "has a forward without inputs; give each of them a name")
    return names


def _told(module: Any, names: Sequence[str], hints: Mapping[str, Sequence[Input]], why: str) -> tuple[Input, ...]:
    inputs = probe(module, names, hints)
    if inputs is None:
        raise _refused(type(module).__name__, f"{why}; {_SAY_SHAPES}")
    return inputs


def _hints(module: Any, graph: Any) -> dict[str, list[Input]]:
    """Return what inputs must be, as far as the module that reads them first says it."""
    hints = {}
    for node in graph.nodes:
        if node.op != "placeholder":
            continue
        readers = [module.get_submodule(user.target) for user in node.users if user.op == "call_module"]
        width = next((reader.in_features for reader in readers if type(reader).__name__ == "Linear"), None)
        width = width or next(
            (reader.num_features for reader in readers if type(reader).__name__ == "BatchNorm1d"), None
        )
        if width is not None:
            hints[node.target] = [Input(name=node.target, shape=(width,))]
        elif any(type(reader).__name__ in {"Embedding", "EmbeddingBag"} for reader in readers):
            shapes = [(), *((size,) for size in range(1, 65))]
            hints[node.target] = [Input(name=node.target, shape=shape, whole=True) for shape in shapes]
    return hints


def _dtype(state: Mapping[str, Any]) -> str:
    """Return in what a model computes, by its parameters and buffers."""
    import torch

    kinds = {str(tensor.dtype).removeprefix("torch.") for tensor in state.values() if _is_floating(tensor)}
    kinds = kinds or {str(torch.get_default_dtype()).removeprefix("torch.")}
    if len(kinds) > 1 or not kinds <= set(_DTYPES):
        raise _refused("model", f"computes in {', '.join(sorted(kinds))}; call `.float()` or `.double()` before")
    return kinds.pop()


def _is_floating(tensor: Any) -> bool:
    return hasattr(tensor, "dtype") and bool(tensor.dtype.is_floating_point)


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def _refused(path: str, message: str) -> UnsupportedModelError:
    return UnsupportedModelError(
        f"the module cannot become a network: {path}: {message}", faults=[Fault(path=path, message=message)]
    )
