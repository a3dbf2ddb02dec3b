"""Traces a module by `torch.fx`, or by `torch.export` where the first cannot."""

import copy
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Final

from forwardpass.importers.pytorch.exported_program import Exported, NotFollowedError, export, exported
from forwardpass.importers.pytorch.ghost_batches import has_ghost_batches, without_ghost_batches
from forwardpass.importers.pytorch.input_shapes import ModuleInput, category_shapes, infer_inputs
from forwardpass.importers.pytorch.modules import MODULES, apply_weight_hooks
from forwardpass.importers.pytorch.mutation import has_writes
from forwardpass.importers.pytorch.program import Program, dtype_of, first_line, unsupported_module
from forwardpass.importers.pytorch.unsupported import REASONS
from forwardpass.importers.unsupported import UnsupportedError

_WIDTHS: Final[Mapping[str, str]] = MappingProxyType({"Linear": "in_features", "BatchNorm1d": "num_features"})
"""The attribute that has the width of a module's input, by the class of the module."""
_LOOK_UP: Final = frozenset({"Embedding", "EmbeddingBag"})
_SAY_SHAPES: Final = (
    "the shapes of its inputs cannot be determined; import `torch.export.export(module, (rows,))`, whose example gives "
    "the shape of each input: a tensor of two or more rows"
)


def trace(model: Any) -> Program:
    """Trace a copy of a module in inference mode, or read an exported program.

    Raises:
        UnsupportedModelError: It cannot be traced, or the shapes of its inputs cannot be found.
    """
    import torch

    if isinstance(model, torch.export.ExportedProgram):
        return exported(model)
    if isinstance(model, Exported):
        return replace(exported(model.program), call=model.call)
    model = _unwrapped(model)
    model_name = type(model).__name__
    whole = copied(model).eval().requires_grad_(requires_grad=False)
    if model_name in MODULES and type(model).__module__.startswith("torch.nn"):
        whole = torch.nn.Sequential(whole)
    module = without_ghost_batches(copied(whole)) if has_ghost_batches(whole) else whole
    dtype = dtype_of(module.state_dict())
    tracer = _tracer()
    tracer.record_stack_traces = True
    _apply_weight_hooks(module, tracer)
    parameters = inspect.signature(module.forward).parameters
    names = _input_names(model_name, parameters)
    defaults = {name: known.default for name, known in parameters.items() if name not in names}
    try:
        graph = tracer.trace(module, concrete_args=defaults or None)
    except Exception as error:
        inputs = infer_inputs(module, names, dtype, {})
        if inputs is None:
            raise unsupported_module(
                model_name, f"torch.fx cannot trace it ({first_line(error)}), and {_SAY_SHAPES}"
            ) from error
        return replace(export(module, inputs, error), call=whole)
    inputs = infer_inputs(module, names, dtype, _hints(module, graph))
    if inputs is None:
        raise unsupported_module(model_name, _SAY_SHAPES)
    if has_writes(graph, module):
        try:
            return replace(export(module, inputs), call=whole)
        except NotFollowedError as error:  # torch.fx and torch.onnx do not say which tensors share the memory
            message = f"writes into a tensor, and {error}; compute a new one, as by `torch.where`, instead"
            raise unsupported_module(model_name, message) from error
    return Program(
        model_name=model_name,
        graph=graph,
        inputs=inputs,
        constants=defaults,
        root=module,
        call=whole,
        restore_outputs=lambda outputs: outputs,
        dtype=dtype,
        otherwise=lambda: replace(export(module, inputs), call=whole),
    )


def _tracer() -> Any:
    """Return a tracer that keeps the modules that are read as a whole, and goes into all others."""
    import torch

    class Tracer(torch.fx.Tracer):  # type: ignore[misc]  # torch is untyped here
        def is_leaf_module(self, m: Any, module_qualified_name: str) -> bool:
            known = type(m).__name__ in MODULES or type(m).__name__ in REASONS
            return known and bool(super().is_leaf_module(m, module_qualified_name))

    return Tracer()


def _unwrapped(model: Any) -> Any:
    """Return the module inside the wrappers of torch.compile and of computing on several devices.

    Raises:
        UnsupportedModelError: It has parts of TorchScript, or quantized ones.
    """
    import torch

    while (inner := _WRAPPERS.get(type(model).__name__)) and type(model).__module__.startswith("torch."):
        model = getattr(model, inner)
    scripted = next((path for path, part in model.named_modules() if isinstance(part, torch.jit.ScriptModule)), None)
    if scripted is not None:
        message = (
            "is TorchScript inside a module; import `torch.jit.script` of the whole, or the module that it was made of"
        )
        raise unsupported_module(f"model.{scripted}", message)
    lazy = next((path for path, part in model.named_modules() if _has_no_weights(part)), None)
    if lazy is not None:
        raise unsupported_module(
            f"model.{lazy}".rstrip("."), "has no weights yet; call the model once, which makes them"
        )
    quantized = next((path for path, part in model.named_modules() if ".quantized." in type(part).__module__), None)
    if quantized is not None:
        message = "computes in whole numbers; import the module as it was before it was quantized"
        raise unsupported_module(f"model.{quantized}", message)
    return model


def _has_no_weights(module: Any) -> bool:
    import torch

    is_lazy = isinstance(module, torch.nn.modules.lazy.LazyModuleMixin)
    return is_lazy and bool(module.has_uninitialized_params())


_WRAPPERS: Final[Mapping[str, str]] = MappingProxyType(
    {"OptimizedModule": "_orig_mod", "DataParallel": "module", "DistributedDataParallel": "module"}
)
"""The attribute with the module inside a wrapper, by the wrapper's class."""


def copied(model: Any) -> Any:
    """Return a copy of a module; weights that hooks computed are no parameters, and are detached first.

    Raises:
        UnsupportedModelError: It cannot be copied.
    """
    memo: dict[int, Any] = {}
    for module in model.modules():
        for value in vars(module).values():
            if getattr(value, "grad_fn", None) is not None:
                memo[id(value)] = value.detach().clone()
    try:
        return copy.deepcopy(model, memo)
    except Exception as error:
        raise unsupported_module(type(model).__name__, f"cannot be copied: {error!r}") from error


def _apply_weight_hooks(module: Any, tracer: Any) -> None:
    """Run the hooks that compute weights in modules that are not traced into, and reject other hooks there."""
    for path, part in module.named_modules():
        try:
            if path == "" or tracer.is_leaf_module(part, path):
                apply_weight_hooks(part)
        except UnsupportedError as error:
            raise unsupported_module(f"model.{path}".rstrip("."), f"{type(part).__name__} {error}") from None


def _input_names(model_name: str, parameters: Mapping[str, inspect.Parameter]) -> list[str]:
    """Return the required inputs of a module; the others keep their defaults."""
    names = []
    for name, known in parameters.items():
        if known.kind in {known.VAR_POSITIONAL, known.VAR_KEYWORD} or known.default is not known.empty:
            continue
        if known.kind == known.KEYWORD_ONLY:
            raise unsupported_module(model_name, f"needs {name!r} by keyword; inputs are given by position")
        names.append(name)
    if not names:
        raise unsupported_module(model_name, "has a forward without inputs; give each of them a name")
    return names


def _hints(module: Any, graph: Any) -> dict[str, Sequence[ModuleInput]]:
    """Return the possible forms of inputs, where the first module that reads them says them."""
    hints: dict[str, Sequence[ModuleInput]] = {}
    for node in graph.nodes:
        if node.op != "placeholder":
            continue
        readers = [module.get_submodule(user.target) for user in node.users if user.op == "call_module"]
        kinds = [type(reader).__name__ for reader in readers]
        widths = [
            getattr(reader, _WIDTHS[kind]) for kind, reader in zip(kinds, readers, strict=True) if kind in _WIDTHS
        ]
        if widths:
            hints[node.target] = [ModuleInput(name=node.target, shape=(widths[0],))]
        elif _LOOK_UP & set(kinds):
            hints[node.target] = category_shapes(node.target)
    return hints
