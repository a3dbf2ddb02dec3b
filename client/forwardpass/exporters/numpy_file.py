"""A network as one Python file that needs numpy and nothing else.

The file has the canonical content as a text in base64, the formulas of just those layers and functions that the network
has, taken from `importers.reference`, and one line for each layer. Reading such a file takes the text out of it line by
line; nothing of the file is executed, so that it does not matter what else is in it.
"""

import base64
import binascii
import re
from collections.abc import Iterator
from pprint import pformat
from textwrap import indent
from typing import Any, Final

from forwardpass.differences import TOLERANCE
from forwardpass.exporters.formulas import Formulas
from forwardpass.importers.reference import formulas, functions, walk
from forwardpass.spec import NetworkSpec, digest, expressions, from_safetensors, to_safetensors
from forwardpass.spec.faults import Faults
from forwardpass.spec.limits import DEFAULT_LIMITS, Limits
from forwardpass.spec.network import Activation, Layer

FIRST_LINE: Final = '"""A network of forwardpass as plain numpy'
"""How such a file begins."""

_BEGIN: Final = "CONTENT = ("
_END: Final = ")"
_LINE: Final = re.compile(r'    "([A-Za-z0-9+/]+=*)"')
_LINE_BYTES: Final = 84
_INFIX: Final = frozenset({"<", "<=", ">", ">=", "==", "!=", "+", "-", "*", "/", "**"})

_HEAD: Final = '''{first}: `predict(rows)` needs nothing else.

Run as a program, it computes the examples that the network was registered with. CONTENT is the network itself, digest
{digest};
`forwardpass register NAME FILE` reads it out of this file, without running anything.
"""

import base64
import json
import math
import sys

import numpy as np

'''

_DECODING: Final = '''

def read_content(content):
    """Return the spec and the arrays of each layer (https://huggingface.co/docs/safetensors)."""
    data = base64.b64decode(content)
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    spec = json.loads(header.pop("__metadata__")["spec"])
    arrays = {layer["name"]: {} for layer in spec["layers"]}
    for name, tensor in header.items():
        layer, _, key = name.rpartition(".")
        begin, end = tensor["data_offsets"]
        numbers = np.frombuffer(data[start + begin : start + end], DTYPE.newbyteorder("<"))
        arrays[layer][key] = numbers.reshape(tensor["shape"]).astype(DTYPE)
    return spec, arrays

'''

_PREDICT: Final = '''
def read_rows(rows):
    """Return rows as an array `(rows, inputs)`: from an array, a list, or dicts with a number for each input."""
    if isinstance(rows, dict):
        rows = [rows]
    if isinstance(rows, (list, tuple)) and rows and isinstance(rows[0], dict):
        rows = [[row[name] for name in INPUTS] for row in rows]
    with np.errstate(all="ignore"):
        array = np.atleast_2d(np.asarray(rows, dtype=np.float64)).astype(DTYPE)
    if array.ndim != 2 or array.shape[1] != len(INPUTS):
        raise ValueError(f"the rows have the shape {array.shape}; needed is (rows, {len(INPUTS)})")
    if not NON_FINITE and not np.isfinite(array).all():
        raise ValueError("the rows have NaN or infinity, which the network does not accept")
    return array


def activate(function, z):
    """Return an activation function of pre-activations, in their dtype."""
    return np.broadcast_to(np.asarray(function(z)), z.shape).astype(z.dtype)


def predict(rows):
    """Return the outputs, `(rows, outputs)`, for rows `(rows, inputs)` or one row."""
    rows = read_rows(rows)
    value = {}
    with np.errstate(all="ignore"):
'''

_LABELS: Final = '''

def labels(rows):
    """Return the most probable class of each row."""
    outputs = predict(rows)
    if outputs.shape[1] == 1:
        return [CLASSES[int(p >= THRESHOLD)] for p in outputs[:, 0]]
    return [CLASSES[column] for column in outputs.argmax(axis=1)]
'''

_TEST: Final = '''

def check_examples():
    """Compute the network's examples; return how many do not hold, and say which."""
    failed = 0
    for number, example in enumerate(SPEC.get("examples", [])):
        expected = np.array(example["outputs"])
        allowed = example.get("tolerance", TOLERANCE * np.maximum(1.0, np.abs(expected)))
        actual = predict(example["inputs"])[0]
        if not (np.abs(actual - expected) <= allowed).all():
            failed += 1
            print(f"example {number}: expected {expected.tolist()}, computed {actual.tolist()}")
    return failed


if __name__ == "__main__":
    wrong = check_examples()
    print(f"{len(SPEC.get('examples', []))} examples, {wrong} of which do not hold")
    sys.exit(1 if wrong else 0)
'''


def write(spec: NetworkSpec) -> bytes:
    """Write a network as a Python file; the same network gives the same file."""
    return "".join(_parts(spec)).encode()


def read(content: bytes, *, limits: Limits = DEFAULT_LIMITS) -> NetworkSpec:
    """Read the network out of such a file. Nothing of it is executed.

    Raises:
        InvalidNetworkError: The file is none of these, or what is in it is no valid network.
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
    lines = iter(text.splitlines())
    for line in lines:
        if line == _BEGIN:
            break
    for line in lines:
        found = _LINE.fullmatch(line)
        if found is None:
            return
        yield found[1]


def _parts(spec: NetworkSpec) -> Iterator[str]:
    """Yield the file's text. Nothing that a spec says gets into it but as a quoted text or a number."""
    known = Formulas(formulas, functions, walk)
    with_own = [layer for layer in spec.layers if layer.activation.expression]
    own = {layer.name: f"own_{index}" for index, layer in enumerate(with_own)}
    layers = [_layer(layer, own, known) for layer in spec.layers]
    bodies = [_own_function(own[layer.name], layer.activation, spec, known) for layer in with_own]
    yield _HEAD.format(first=FIRST_LINE, digest=digest(spec))
    yield f"DTYPE = np.dtype({spec.dtype!r})\n"
    yield _constant("INPUTS", list(spec.inputs.names))
    yield _constant("OUTPUTS", list(spec.outputs))
    if spec.classes:
        yield _constant("CLASSES", list(spec.classes))
        yield f"THRESHOLD = {spec.thresholds[0] if len(spec.outputs) == 1 and spec.thresholds else 0.5}\n"
    if _is_rescaled(spec):
        for name in ("scale", "shift"):
            numbers = [getattr(fact, name) for fact in spec.output_facts]
            yield f"OUTPUT_{name.upper()} = np.array({numbers}, DTYPE)\n"
    yield f"NON_FINITE = {spec.allow_non_finite_inputs}\n"
    yield f"TOLERANCE = {TOLERANCE[spec.dtype]!r}\n"
    yield known.text()
    yield from bodies
    yield _DECODING
    yield from _predict(spec, layers)
    if spec.classes:
        yield _LABELS
    yield from _content(spec)
    yield "\nSPEC, ARRAYS = read_content(CONTENT)\n"
    if spec.inputs.mean is not None or spec.inputs.scale is not None:
        yield 'MEAN = np.array([feature.get("mean", 0.0) for feature in SPEC["inputs"]]).astype(DTYPE)\n'
        yield 'SCALE = np.array([feature.get("scale", 1.0) for feature in SPEC["inputs"]]).astype(DTYPE)\n'
    yield _TEST


def _predict(spec: NetworkSpec, layers: list[str]) -> Iterator[str]:
    yield _PREDICT
    standardized = spec.inputs.mean is not None or spec.inputs.scale is not None
    lines = [f'value["inputs"] = {"(rows - MEAN) / SCALE" if standardized else "rows"}']
    start = 0
    for group in spec.inputs.groups:
        lines.append(f'value[{group.name!r}] = value["inputs"][:, {start}:{start + group.width}]')
        start += group.width
    yield indent("\n".join([*lines, *layers, ""]), " " * 8)
    outputs = ", ".join(f"value[{name!r}]" for name in spec.output_layers)
    rescaled = " * OUTPUT_SCALE + OUTPUT_SHIFT" if _is_rescaled(spec) else ""
    yield f"    return np.concatenate([{outputs}], axis=1){rescaled}\n"


def _is_rescaled(spec: NetworkSpec) -> bool:
    return any((fact.scale, fact.shift) != (1.0, 0.0) for fact in spec.output_facts)


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
    settings = "".join(f", {name}={_literal(value)}" for name, value in layer.settings.items())
    sums = f"FORMULAS[{layer.kind!r}]({source}, **ARRAYS[{layer.name!r}]{settings})"
    return f"value[{layer.name!r}] = activate({_function(layer, own, known)}, {sums})"


def _function(layer: Layer, own: dict[str, str], known: Formulas) -> str:
    """Return what names or is a layer's activation function."""
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


def _source(tree: Any, known: Formulas) -> str:
    """Return a folded expression in Python; all of its words are those of the grammar."""
    if isinstance(tree, str):
        return "x"
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


def _literal(value: float | str) -> str:
    """Return a number or word as Python reads it."""
    plain = isinstance(value, str) or value - value == 0
    return repr(value) if plain else f"float({str(value)!r})"
