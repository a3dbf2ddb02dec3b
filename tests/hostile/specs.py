"""Hostile specs: JSON, safetensors, exported Python files, and serialized messages."""

import base64
import json
from collections.abc import Callable, Mapping
from typing import Any

from forwardpass import spec
from forwardpass.exporters import numpy_file
from forwardpass.v1.network_pb2 import Activation, Conv, Layer, NetworkSpec

from tests.hostile.corpus import Hostile

MILLION = 1_000_000


def document(layers: Any = (), **fields: Any) -> bytes:
    whole = {"format": spec.FORMAT, "inputs": 1, "layers": list(layers), **fields}
    return json.dumps(whole).encode()


def filled(text: str) -> bytes:
    """A spec whose layers are a text, since Python's JSON writer is slow for long ones."""
    return f'{{"format": "{spec.FORMAT}", "inputs": 1, "layers": [{text}]}}'.encode()


def expression(text: str) -> bytes:
    return document([{"weights": [[1]], "activation": {"expression": text}}])


def layer(name: str, *sources: str, **fields: Any) -> dict[str, Any]:
    return {"name": name, "weights": [[1]], **({"from": list(sources)} if sources else {}), **fields}


def conv(input_shape: list[int], kernel_shape: list[int], **fields: Any) -> bytes:
    """A convolution of one weight over a geometry that may be beyond memory."""
    geometry = {"input_shape": input_shape, "kernel_shape": kernel_shape, **fields}
    return document([{"name": "a", "kind": "conv", "weights": [[1]], **geometry}])


def ladder(count: int) -> bytes:
    """Layers each of which reads all layers before it."""
    names = [f"l{index}" for index in range(count)]
    return document([layer(name, "inputs", *names[:index], merge="concatenate") for index, name in enumerate(names)])


def tensors(header: Any, data: bytes = b"", *, length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data


def tensor(shape: list[int], begin: int, end: int, dtype: str = "F64") -> dict[str, Any]:
    meta = {"format": spec.FORMAT, "spec": json.dumps({"format": spec.FORMAT, "inputs": 1, "layers": [{"name": "a"}]})}
    return {"__metadata__": meta, "a.weights": {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}}


def message(layers: int = 0, **fields: Any) -> bytes:
    return NetworkSpec(layers=[Layer()] * layers, **fields).SerializeToString()


def read_message(content: bytes) -> object:
    return spec.from_message(NetworkSpec.FromString(content))


def exported(data: bytes) -> bytes:
    return b'CONTENT = (\n    "' + base64.b64encode(data) + b'"\n)\n'


def _json(make: Callable[[], bytes], words: str) -> Hostile:
    return Hostile(make=make, read=spec.from_json, words=words)


def _file(make: Callable[[], bytes], words: str) -> Hostile:
    return Hostile(make=make, read=spec.from_safetensors, words=words)


CORPUS: Mapping[str, Hostile] = {
    "a layer that reads itself": _json(lambda: document([layer("a", "a")]), "a"),
    "a cycle of two": _json(lambda: document([layer("a", "b"), layer("b", "a")]), "layers[0].from"),
    "a cycle of all layers": _json(
        lambda: document([layer(f"l{n}", f"l{(n + 1) % 256}") for n in range(256)]), "comes later"
    ),
    "each layer reads all before": _json(lambda: ladder(250), "spec.layers"),
    "a million empty layers": _json(lambda: filled(",".join(["{}"] * MILLION)), "1000002 lists and objects"),
    "a million layers": _json(lambda: filled(",".join(['{"weights":[[1]]}'] * MILLION)), "lists and objects"),
    "a million layers that are lists": _json(lambda: filled(",".join(["[]"] * MILLION)), "lists and objects"),
    "a million layers that are numbers": _json(lambda: filled(",".join(["1"] * MILLION)), "at most 256"),
    "many braces in a text": _json(lambda: document([layer("a")], description="{" * 500_000), "description"),
    "deep lists": _json(lambda: b"[" * 200_000, "nested too deeply"),
    "deep objects": _json(lambda: b'{"a":' * 60_000, "nested too deeply"),
    "more deep objects than there can be": _json(lambda: b'{"a":' * 200_000, "objects"),
    "a key many times": _json(lambda: b"{" + b",".join([b'"format":1'] * 200_000) + b"}", "repeated"),
    "many keys twice": _json(
        lambda: b"{" + b",".join(b'"k%d":1' % (n % 25_000) for n in range(50_000)) + b"}", "repeated"
    ),
    "many unknown keys": _json(
        lambda: b"{" + b",".join(b'"k%d":1' % n for n in range(50_000)) + b"}", "not known here"
    ),
    "a number of a million digits": _json(lambda: filled('{"weights":[[' + "9" * MILLION + "]]}"), "weights"),
    "an exponent without end": _json(lambda: filled('{"weights":[[1e' + "9" * MILLION + "]]}"), "weights"),
    "a width beyond memory": _json(lambda: document([layer("a")], inputs=2**62), "inputs"),
    "a name of a million letters": _json(lambda: document([layer("a" * MILLION)]), "name"),
    "nearly a known word, many times": _json(
        lambda: document([layer(f"l{n}", activation="relux" * 1_000) for n in range(256)]), "activation"
    ),
    "embedding beyond memory": _json(
        lambda: document([{"name": "a", "kind": "embedding", "table": [[1] * 1_000]}], inputs=65_536), "layers"
    ),
    "windows beyond memory": _json(
        lambda: document([{"name": "a", "kind": "pool", "windows": [[10**300]], "reduce": "max"}]), "windows"
    ),
    "matrices beyond memory": _json(
        lambda: document([{"name": "a", "kind": "matmul", "rows": 65_536, "inner": 65_536, "columns": 65_536}]), "nodes"
    ),
    "matrices of a million digits": _json(
        lambda: filled('{"kind":"matmul","inner":1,"columns":1,"rows":' + "9" * MILLION + "}"), "layers"
    ),
    "conv: axes beyond memory": _json(lambda: conv([1, 65_536, 65_536, 65_536], [1, 1, 1]), "multiply"),
    "conv: more nodes than memory": _json(lambda: conv([1, 1], [1], pads=[65_536, 65_536]), "nodes"),
    "conv: a kernel beyond memory": _json(lambda: conv([1, 1, 1], [65_536, 65_536], pads=[65_536] * 4), "multiply"),
    "conv: gaps beyond the axis": _json(lambda: conv([1, 9], [2], dilations=[65_536]), "kernel_shape"),
    "conv: numbers beyond any size": _json(lambda: conv([1, 1], [1], strides=[10**300]), "strides"),
    "conv: zeros between values beyond memory": _json(
        lambda: conv([1, 3, 3], [1, 1], input_dilations=[65_536] * 2, strides=[65_536] * 2), "pads"
    ),
    "conv: negative padding": _json(lambda: conv([1, 1], [1], pads=[-(2**62), 2**62]), "pads"),
    "conv: more groups than channels": _json(lambda: conv([1, 1], [1], group=65_536), "group"),
    "conv: groups of a million digits": _json(
        lambda: filled('{"kind":"conv","input_shape":[1,1],"kernel_shape":[1],"group":' + "9" * MILLION + "}"), "layers"
    ),
    "conv: many axes": _json(lambda: conv([1] * 100_000, [1] * 100_000), "input_shape"),
    "elementwise: deep parentheses": _json(
        lambda: document([{"kind": "elementwise", "expression": "(" * 499 + "x" + ")" * 499}]), "expression"
    ),
    "expression: deep parentheses": _json(lambda: expression("(" * 499 + "x" + ")" * 499), "activation"),
    "expression: long": _json(lambda: expression("x+" * MILLION + "x"), "activation"),
    "expression: powers of powers": _json(lambda: expression("9**9**9**9**9**9*x"), "activation"),
    "expression: many parts": _json(lambda: expression("+".join(["x"] * 400)), "activation"),
    "expression: Python": _json(lambda: expression("__import__('os').system('x')"), "activation"),
    "expression: attributes": _json(lambda: expression("x.__class__.__mro__"), "activation"),
    "safetensors: a header beyond the file": _file(lambda: tensors({}, length=2**63), "cut short"),
    "safetensors: a header of 2 GB": _file(lambda: tensors({}, length=2**31), "cut short"),
    "safetensors: dims beyond memory": _file(lambda: tensors(tensor([2**31, 2**31], 0, 8), bytes(8)), "needs"),
    "safetensors: dims whose product overflows": _file(lambda: tensors(tensor([2**32, 2**32], 0, 0)), "needs"),
    "safetensors: negative dims": _file(lambda: tensors(tensor([-1, -8], 0, 64), bytes(64)), "shape"),
    "safetensors: an end before the begin": _file(lambda: tensors(tensor([1, 1], 8, 0), bytes(8)), "data_offsets"),
    "safetensors: an end beyond the file": _file(lambda: tensors(tensor([1, 1], 0, 2**62), bytes(8)), "data_offsets"),
    "safetensors: many tensors": _file(
        lambda: tensors({f"t{n}": {"dtype": "F64", "shape": [1], "data_offsets": [0, 8]} for n in range(20_000)}),
        "tensors",
    ),
    "safetensors: a spec of a million layers": _file(
        lambda: tensors({"__metadata__": {"format": spec.FORMAT, "spec": filled(",".join(["{}"] * MILLION)).decode()}}),
        "objects",
    ),
    "safetensors: a deep header": _file(lambda: tensors(b'{"a":' * 60_000), "nested too deeply"),
    "message: many empty layers": Hostile(make=lambda: message(100_000), read=read_message, words="at most 256"),
    "message: an expression": Hostile(
        make=lambda: NetworkSpec(layers=[Layer(activation=Activation(expression="(" * 100_000))]).SerializeToString(),
        read=read_message,
        words="activation",
    ),
    "message: a convolution beyond memory": Hostile(
        make=lambda: NetworkSpec(
            layers=[Layer(conv=Conv(input_shape=[1, 2**31 - 1], kernel_shape=[2**31 - 1]))]
        ).SerializeToString(),
        read=read_message,
        words="input_shape",
    ),
    "Python: no network": Hostile(make=lambda: b"x = 1\n" * MILLION, read=numpy_file.read, words="has no network"),
    "Python: a lie in base64": Hostile(
        make=lambda: exported(tensors({}, length=2**40)), read=numpy_file.read, words="cut short"
    ),
}
