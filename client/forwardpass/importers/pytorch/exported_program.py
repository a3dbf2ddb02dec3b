"""Graphs of `torch.export`: made where `torch.fx` cannot trace a module, or given by the user."""

import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from typing import Any

from forwardpass.importers.pytorch.input_shapes import ModuleInput
from forwardpass.importers.pytorch.mutation import silently_shared, writes_into_views
from forwardpass.importers.pytorch.program import Program, dtype_of, first_line, unsupported_module


class NotFollowedError(Exception):
    """Neither `torch.fx` nor `torch.export` follows a module.

    Attributes:
        module: The module, set to inference.
        inputs: Its inputs.
    """

    def __init__(self, message: str, *, module: Any, inputs: Sequence[ModuleInput]) -> None:
        super().__init__(message)
        self.module, self.inputs = module, inputs


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Exported:
    """A module that was exported after a part of it was replaced.

    Attributes:
        program: Its `torch.export.ExportedProgram`.
        call: The module as it was, which the certificate compares with.
    """

    program: Any
    call: Callable[..., Any]


def export(module: Any, inputs: Sequence[ModuleInput], why: Exception | None = None) -> Program:
    """Export a module whose inputs are known.

    Args:
        module: The module, set to inference.
        inputs: The inputs.
        why: The error of `torch.fx`, or None where it traces the module too.

    Raises:
        NotFollowedError: `torch.export` cannot trace it either.
    """
    import torch

    model_name = type(module).__name__
    dtype = getattr(torch, dtype_of(module.state_dict()))
    rows = tuple(torch.zeros((2, *each.shape), dtype=torch.int64 if each.is_integer else dtype) for each in inputs)
    dynamic = tuple({0: torch.export.Dim("rows")} for _ in inputs)
    try:
        with quiet():
            program = torch.export.export(module, rows, dynamic_shapes=dynamic)
    except Exception as error:
        words = f"torch.export cannot trace it ({first_line(error)})"
        if why is not None:
            words = f"torch.fx cannot trace it ({first_line(why)}), nor can torch.export ({first_line(error)})"
        raise NotFollowedError(words, module=module, inputs=inputs) from error
    return exported(program, model_name)


def exported(program: Any, model_name: str = "") -> Program:
    """Read an exported program; the first axes of its example are the rows.

    Args:
        program: A `torch.export.ExportedProgram`.
        model_name: The name of its module; found in the program when left out.

    Raises:
        UnsupportedModelError: An input is no tensor of rows, the program changes its own state, or it writes into a
            tensor of which its graph does not say that others share it.
    """
    import torch

    model_name = model_name or _title(program)
    original = program
    shared = silently_shared(program.graph)
    if shared is not None:
        message = (
            f"writes into a tensor that {shared} may return as it is, and that is read elsewhere too; "
            f"let it read a copy, as `{shared}(x.clone())`"
        )
        raise unsupported_module(model_name, message)
    if writes_into_views(program.graph):
        program = _without_writes(program)
    signature, spec = program.graph_signature, program.call_spec.out_spec
    if signature.buffers_to_mutate:
        raise unsupported_module(
            model_name, "changes its own numbers while it computes; call `.eval()` before it is exported"
        )
    if program.call_spec.in_spec.type is tuple and program.call_spec.in_spec.child(1).num_leaves:
        raise unsupported_module(model_name, "has inputs by keyword; export it with all of them by position")
    values = {node.name: node.meta.get("val") for node in program.graph.nodes if node.op == "placeholder"}
    examples = {name: _example(model_name, name, values.get(name)) for name in signature.user_inputs}
    counts = {value.shape[0] if isinstance(value.shape[0], int) else None for value in examples.values()}
    if len(counts) != 1:
        raise unsupported_module(model_name, "has inputs of different numbers of rows")
    state = {**program.state_dict, **program.constants}
    return Program(
        model_name=model_name,
        graph=program.graph,
        inputs=tuple(
            ModuleInput(name=name, shape=tuple(map(int, value.shape[1:])), is_integer=not value.dtype.is_floating_point)
            for name, value in examples.items()
        ),
        constants={name: state[target] for name, target in _lifted(signature).items()},
        root=program.graph_module,
        call=original.module(),
        # Inputs that the module changes are outputs too, before its own.
        restore_outputs=lambda outputs: torch.utils._pytree.tree_unflatten(list(outputs)[-spec.num_leaves :], spec),  # noqa: SLF001 - torch's only one
        dtype=dtype_of(state),
        batch=counts.pop(),
    )


def _without_writes(program: Any) -> Any:
    """Return a program that computes the same by operations without side effects."""
    with quiet(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return program.run_decompositions({})


def _example(model_name: str, name: str, value: Any) -> Any:
    if getattr(value, "ndim", 0) < 1:
        raise unsupported_module(model_name, f"has the input {name!r}, which is no tensor of rows")
    return value


def _lifted(signature: Any) -> Mapping[str, str]:
    """Return the names of parameters, buffers and constants by their placeholders."""
    return {
        **signature.inputs_to_parameters,
        **signature.inputs_to_buffers,
        **signature.inputs_to_lifted_tensor_constants,
    }


def _title(program: Any) -> str:
    """Return the class of the exported module, or a general name where the graph lacks it."""
    stacks = (node.meta.get("nn_module_stack") for node in program.graph.nodes)
    classes = [kind for stack in stacks if stack for path, kind in stack.values() if path == ""]
    name = str(classes[0] if classes else "").rpartition(".")[2]
    return f"ExportedProgram({name})" if name else "ExportedProgram"


@contextmanager
def quiet() -> Iterator[None]:
    """Suppress what torch prints about a module that it cannot trace; the error has it too."""
    before = logging.root.manager.disable
    logging.disable()
    try:
        with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            yield
    finally:
        logging.disable(before)
