"""A network as one Python file that needs numpy and nothing else.

The file has the canonical content as base64, the formulas of the network's own layers and activations
from `importers.reference`, and one line for each layer. Reading such a file takes the base64 lines out of it and
executes nothing, so that the rest of the file does not matter.
"""

import base64
import binascii
import re
from collections.abc import Iterator
from pprint import pformat
from textwrap import indent
from typing import Any, Final

from forwardpass.differences import TOLERANCE
from forwardpass.exporters import templates
from forwardpass.exporters.formula_source import Formulas
from forwardpass.importers.reference import formulas, functions, walk
from forwardpass.spec import NetworkSpec, digest, expressions, from_safetensors, to_safetensors
from forwardpass.spec.faults import Faults
from forwardpass.spec.fields.formula import OPERANDS, fold_formula
from forwardpass.spec.limits import DEFAULT_LIMITS, Limits
from forwardpass.spec.network import ELEMENTWISE, RECURRENT, Activation, Layer

FIRST_LINE: Final = '"""A network of forwardpass as plain numpy'
"""The first line of an exported file."""

_BEGIN: Final = "CONTENT = ("
_END: Final = ")"
_LINE: Final = re.compile(r'    "([A-Za-z0-9+/]+=*)"\n')
_LINE_BYTES: Final = 84
_INFIX: Final = frozenset({"<", "<=", ">", ">=", "==", "!=", "+", "-", "*", "/", "**"})


def write(spec: NetworkSpec) -> bytes:
    """Write a network as a Python file; the same network gives the same file."""
    return "".join(_parts(spec)).encode()


def read(content: bytes, *, limits: Limits = DEFAULT_LIMITS) -> NetworkSpec:
    """Read the network from an exported file, without executing anything.

    Raises:
        InvalidNetworkError: The file is no exported file, or its network is not valid.
    """
    faults = Faults()
    try:
        data = base64.b64decode("".join(_content_lines(content.decode())), validate=True)
    except (UnicodeDecodeError, binascii.Error) as error:
        faults.add("file", f"has a CONTENT that cannot be read: {error}")
        raise faults.error() from None
    if not data:
        faults.add("file", f"has no network: a line {_BEGIN!r} and lines of base64 in quotes are needed")
        raise faults.error()
    return from_safetensors(data, limits=limits)


def _content_lines(text: str) -> Iterator[str]:
    begin = re.search(rf"^{re.escape(_BEGIN)}\n", text, flags=re.MULTILINE)
    place = begin.end() if begin else len(text)
    while found := _LINE.match(text, place):
        yield found[1]
        place = found.end()


def _parts(spec: NetworkSpec) -> Iterator[str]:
    """Yield the text of the file. Values of a spec appear only as quoted texts and numbers."""
    known = Formulas(formulas, functions, walk)
    with_own = [layer for layer in spec.layers if layer.activation.expression]
    own = {layer.name: f"own_{index}" for index, layer in enumerate(with_own)}
    layers = [_layer(layer, own, known) for layer in spec.layers]
    bodies = [_own_function(own[layer.name], layer.activation, spec, known) for layer in with_own]
    bodies += [_formula(layer, spec, known) for layer in spec.layers if layer.kind == ELEMENTWISE]
    yield templates.HEAD.format(first=FIRST_LINE, digest=digest(spec))
    yield f"DTYPE = np.dtype({spec.dtype!r})\n"
    yield _constant("INPUTS", list(spec.inputs.names))
    yield _constant("OUTPUTS", list(spec.outputs))
    if spec.output_metadata:
        yield f"OUTPUT_SCALE = np.array({[fact.scale for fact in spec.output_metadata]}, DTYPE)\n"
        yield f"OUTPUT_SHIFT = np.array({[fact.shift for fact in spec.output_metadata]}, DTYPE)\n"
    if spec.classes:
        yield _constant("CLASSES", list(spec.classes))
        yield f"THRESHOLD = {spec.thresholds[0] if len(spec.outputs) == 1 and spec.thresholds else 0.5!r}\n"
    yield f"NON_FINITE = {spec.allow_non_finite_inputs}\n"
    yield f"TOLERANCE = {TOLERANCE[spec.dtype]!r}\n"
    yield known.text()
    if any(layer.kind == ELEMENTWISE for layer in spec.layers):
        yield "\n\nFORMULA = {}\n"
    yield from bodies
    yield templates.DECODING
    yield from _predict(spec, layers)
    if spec.classes:
        yield templates.LABELS
    yield from _content(spec)
    yield "\nSPEC, ARRAYS = read_content(CONTENT)\n"
    if spec.inputs.mean is not None or spec.inputs.scale is not None:
        yield 'MEAN = np.array([feature.get("mean", 0.0) for feature in SPEC["inputs"]]).astype(DTYPE)\n'
        yield 'SCALE = np.array([feature.get("scale", 1.0) for feature in SPEC["inputs"]]).astype(DTYPE)\n'
    yield templates.TEST


def _predict(spec: NetworkSpec, layers: list[str]) -> Iterator[str]:
    yield templates.TYPED_ROWS if any(feature.is_typed for feature in spec.inputs.features) else templates.ROWS
    yield templates.PREDICT
    standardized = spec.inputs.mean is not None or spec.inputs.scale is not None
    lines = [f'value["inputs"] = {"(rows - MEAN) / SCALE" if standardized else "rows"}']
    start = 0
    for group in spec.inputs.groups:
        lines.append(f'value[{group.name!r}] = value["inputs"][:, {start}:{start + group.width}]')
        start += group.width
    yield indent("\n".join([*lines, *layers, ""]), " " * 8)
    outputs = ", ".join(f"value[{name!r}]" for name in spec.output_layers)
    yield f"        outputs = np.concatenate([{outputs}], axis=1)\n"
    yield f"        return {'outputs * OUTPUT_SCALE + OUTPUT_SHIFT' if spec.output_metadata else 'outputs'}\n"


def _layer(layer: Layer, own: dict[str, str], known: Formulas) -> str:
    """Return the line that computes a layer."""
    known.need("FORMULAS", layer.kind)
    sources = [f"value[{name!r}]" for name in layer.from_]
    source = sources[0]
    if layer.merge is not None:
        source = f"_merged([{', '.join(sources)}], {layer.merge!r})"
        known.need_function("_merged")
        if layer.merge != "concatenate":
            known.need("_MERGES", layer.merge)
    words = {name: _literal(value) for name, value in layer.settings.items()}
    if layer.kind == RECURRENT:
        for name in ("gate", "state"):
            function = str(layer.settings[f"{name}_activation"])
            known.need("FUNCTIONS", function)
            del words[f"{name}_activation"]
            words[name] = f"FUNCTIONS[{function!r}]"
    settings = "".join(f", {name}={word}" for name, word in words.items())
    if layer.kind == ELEMENTWISE:
        settings = f", parts={layer.inputs // layer.outputs}, formula=FORMULA[{layer.name!r}]"
    sums = f"FORMULAS[{layer.kind!r}]({source}, **ARRAYS[{layer.name!r}]{settings})"
    return f"value[{layer.name!r}] = activate({_function(layer, own, known)}, {sums})"


def _function(layer: Layer, own: dict[str, str], known: Formulas) -> str:
    """Return the source of a layer's activation: its name or its expression."""
    if layer.name in own:
        return own[layer.name]
    known.need("FUNCTIONS", layer.activation.name)
    named = f"FUNCTIONS[{layer.activation.name!r}]"
    if not layer.activation.parameters:
        return named
    given = ", ".join(f"{key}={_literal(value)}" for key, value in layer.activation.parameters.items())
    return f"lambda z: {named}(z, {given})"


def _own_function(name: str, activation: Activation, spec: NetworkSpec, known: Formulas) -> str:
    tree = expressions.parse(activation.expression, activation.parameters)
    body = _source(expressions.fold(tree, activation.parameters, spec.dtype), known)
    return f"\n\ndef {name}(x):\n    return {body}\n"


def _formula(layer: Layer, spec: NetworkSpec, known: Formulas) -> str:
    """Return the function of an elementwise layer, over its parts."""
    body = _source(fold_formula(str(layer.settings["expression"]), spec.dtype), known)
    parts = ", ".join(OPERANDS[: layer.inputs // layer.outputs])
    return f"\nFORMULA[{layer.name!r}] = lambda {parts}: {body}\n"


def _source(tree: Any, known: Formulas) -> str:
    """Return a folded expression as Python source; all of its names are from the grammar."""
    if isinstance(tree, str):
        return tree
    if not isinstance(tree, tuple):
        return repr(tree) if isinstance(tree, bool) else f"DTYPE.type({_literal(float(tree))})"
    name, *parts = tree
    operands = [_source(part, known) for part in parts]
    if name in _INFIX:
        return f"({operands[0]} {name} {operands[1]})"
    known.need("_OPERATIONS", name)
    return f"_OPERATIONS[{name!r}]({', '.join(operands)})"


def _content(spec: NetworkSpec) -> Iterator[str]:
    content = to_safetensors(spec)
    yield f"\n\n{_BEGIN}\n"
    for start in range(0, len(content), _LINE_BYTES):
        yield f'    "{base64.b64encode(content[start : start + _LINE_BYTES]).decode()}"\n'
    yield f"{_END}\n"


def _constant(name: str, value: list[str]) -> str:
    return f"{name} = {pformat(value, width=110, compact=True)}\n"


def _literal(value: float | str | tuple[int, ...]) -> str:
    """Return a number, a text or a tuple of integers as Python source."""
    plain = isinstance(value, str | tuple) or value - value == 0
    return repr(value) if plain else f"float({str(value)!r})"
