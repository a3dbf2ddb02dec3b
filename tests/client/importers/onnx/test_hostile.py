"""Hostile files are rejected fast and in little memory, and none makes the importer read another file."""

import contextlib
import itertools
import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from forwardpass.importers import UnsupportedModelError, load_object
from forwardpass.importers.onnx.graph_reader import read_graph
from onnx import TensorProto, helper

from tests.support.random_onnx_models import random_model


def model(
    nodes: list[Any],
    *initializers: Any,
    shape: tuple[Any, ...] = ("rows", 4),
    output: str = "y",
) -> bytes:
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, list(shape))],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)],
        list(initializers),
    )
    content: bytes = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]).SerializeToString()
    return content


def chain(op: str, count: int, *, twice: bool = False, **attributes: Any) -> list[Any]:
    names = ["x", *(f"t{place}" for place in range(1, count)), "y"]
    return [
        helper.make_node(op, [one, one] if twice else [one], [other], **attributes)
        for one, other in itertools.pairwise(names)
    ]


def sizes(name: str, *numbers: int) -> Any:
    return helper.make_tensor(name, TensorProto.INT64, [len(numbers)], list(numbers))


def with_input(name: str) -> bytes:
    """Return a model that adds another input to `x`."""
    made = onnx.ModelProto.FromString(model([node("Add", "x", name)]))
    made.graph.input.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows", 4]))
    content: bytes = made.SerializeToString()
    return content


def texts(op: str, **attributes: Any) -> bytes:
    made = onnx.ModelProto.FromString(model([node(op, "x", domain="ai.onnx.ml", **attributes)], shape=("rows", 50_000)))
    made.graph.input[0].type.tensor_type.elem_type = TensorProto.STRING
    made.opset_import.append(helper.make_opsetid("ai.onnx.ml", 3))
    content: bytes = made.SerializeToString()
    return content


def branches(levels: int) -> list[Any]:
    """Return an `If` in an `If`, and so on; the condition of each is decided."""
    inner = [node("Det", "x")]
    for _ in range(levels):
        graph = helper.make_graph(inner, "b", [], [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)])
        inner = [node("If", "yes", then_branch=graph, else_branch=graph)]
    return inner


def empty(*dims: int) -> Any:
    return TensorProto(name="w", data_type=TensorProto.FLOAT, dims=dims)


def part(field: int, content: bytes) -> bytes:
    """One part of a protobuf message, by its number."""
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    pieces = []
    while number > 127:
        pieces.append(number & 127 | 128)
        number >>= 7
    return bytes([*pieces, number])


def deep(levels: int) -> bytes:
    content = b""
    for _ in range(levels):
        content = part(1, part(5, part(6, content)))
    return part(7, content)


def node(op: str, *inputs: str, output: str = "y", domain: str = "", **attributes: Any) -> Any:
    return helper.make_node(op, list(inputs), [output], domain=domain, **attributes)


_RELU = part(1, helper.make_node("Relu", ["x"], ["x"]).SerializeToString())
_MATMUL = node("MatMul", "x", "w")

_COUNTED = {"zero": 0, "end": 2**50, "one": 1}

HOSTILE: dict[str, Callable[[], bytes]] = {
    "a cycle": lambda: model([node("Relu", "y", output="z"), node("Relu", "z")]),
    "dims of no data": lambda: model([_MATMUL], empty(4, 2**22)),
    "dims beyond all": lambda: model([_MATMUL], empty(2**40, 2**20)),
    "negative dims": lambda: model([_MATMUL], empty(4, -1)),
    "an input beyond all": lambda: model([node("Relu", "x")], shape=("rows", 2**40)),
    "an input that is not UTF-8": lambda: with_input("abcd").replace(b"abcd", b"\xff\xfe\xfd\xfc"),
    "an operator that is not UTF-8": lambda: model([node("Abcd", "x")]).replace(b"Abcd", b"\xff\xfe\xfd\xfc"),
    "cut off": lambda: model([node("Relu", "x")])[:-5],
    "no bytes": lambda: b"",
    "a million of 0": lambda: bytes(1_000_000),
    "a million of 255": lambda: b"\xff" * 1_000_000,
    "a million nodes": lambda: part(7, _RELU * 1_000_000),
    "a million empty nodes": lambda: part(7, part(1, b"") * 1_000_000),
    "a million attributes": lambda: part(7, part(1, part(5, b"") * 1_000_000)),
    "a million nodes of a function": lambda: part(25, part(7, b"") * 1_000_000),
    "twenty million packed numbers": lambda: part(7, part(5, part(7, b"\1" * 20_000_000))),
    "graphs in graphs": lambda: deep(200),
    "a chain of 5,000": lambda: model(chain("Elu", 5_000)),
    "doubled 60 times": lambda: model(chain("Concat", 60, twice=True, axis=1)),
    "turned 5,000 times": lambda: model(chain("Transpose", 5_000, perm=[0, 2, 1]), shape=("rows", 256, 256)),
    "repeated beyond all": lambda: model([node("Tile", "x", "r")], sizes("r", 1, 2**40)),
    "expanded beyond all": lambda: model([node("Expand", "x", "r")], sizes("r", 2**40, 1, 4)),
    "a constant beyond all": lambda: model(
        [node("ConstantOfShape", "r", output="c"), node("Add", "x", "c")], sizes("r", 2**20, 2**20)
    ),
    "constants of constants": lambda: model(
        [
            node("ConstantOfShape", "r", output="c0"),
            *(node("Add", f"c{place}", f"c{place}", output=f"c{place + 1}") for place in range(5_000)),
            node("Add", "x", "c5000"),
        ],
        sizes("r", 1_000, 1_000),
    ),
    "a product beyond all": lambda: model(
        [_MATMUL],
        onnx.numpy_helper.from_array(np.ones((64, 128), np.float32), "w"),
        shape=("rows", 1024, 64),
    ),
    "a product of two": lambda: model(
        [node("Transpose", "x", output="t", perm=[0, 2, 1]), node("MatMul", "x", "t")], shape=("rows", 1024, 64)
    ),
    "windows beyond all": lambda: model(
        [node("MaxPool", "x", kernel_shape=[60_000], pads=[59_999, 59_999])], shape=("rows", 1, 60_000)
    ),
    "a kernel beyond all": lambda: model([node("AveragePool", "x", kernel_shape=[2**62])], shape=("rows", 1, 60_000)),
    "5,000 nodes in reverse order": lambda: model(chain("Elu", 5_000)[::-1]),
    "each node reads all before it": lambda: model(
        [node("Concat", *(f"t{one}" for one in range(place)), output=f"t{place}", axis=1) for place in range(1, 300)][
            ::-1
        ]
    ),
    "branches in branches": lambda: model(branches(5), onnx.numpy_helper.from_array(np.array(True), "yes")),
    "many inputs of open width": lambda: _open_inputs(15_000),
    "texts for each of 50,000 inputs": lambda: texts("OneHotEncoder", cats_strings=[str(n) for n in range(20_000)]),
    "texts looked up for each of 50,000 inputs": lambda: texts(
        "LabelEncoder", keys_strings=[str(n) for n in range(20_000)], values_floats=[0.5] * 20_000
    ),
    "a layer for each element": lambda: model([node("LogSoftmax", "x", axis=2)], shape=("rows", 60_000, 1)),
    "padded beyond all": lambda: model([node("Pad", "x", "p")], sizes("p", 0, 2**40, 0, 2**40)),
    "counted beyond all": lambda: model(
        [node("Range", "zero", "end", "one", output="c"), node("Add", "x", "c")],
        *(helper.make_tensor(name, TensorProto.INT64, [], [number]) for name, number in _COUNTED.items()),
    ),
    "running sums of wide rows": lambda: model(
        [node("CumSum", f"x{place}" if place else "x", "one", output=f"x{place + 1}") for place in range(200)],
        sizes("one", 1),
        shape=("rows", 60_000),
        output="x200",
    ),
    "running sums of rows": lambda: model(
        [node("CumSum", f"x{place}" if place else "x", "one", output=f"x{place + 1}") for place in range(200)],
        sizes("one", 1),
        shape=("rows", 8_000),
        output="x200",
    ),
    "triangles of constants": lambda: model(
        [
            node("ConstantOfShape", "r", output="c0"),
            *(node("Trilu", f"c{place}", output=f"c{place + 1}") for place in range(5_000)),
            node("Add", "x", "c5000"),
        ],
        sizes("r", 600, 600),
    ),
    "products of all with all": lambda: model([node("Einsum", "x", "x", equation="ri,rj->rij")], shape=("rows", 4_096)),
    "products with a constant at all places": lambda: model(
        [node("Einsum", "x", "w", equation="rij,jk->rik")],
        onnx.numpy_helper.from_array(np.ones((64, 128), np.float32), "w"),
        shape=("rows", 1024, 64),
    ),
    "a choice of places beyond all": lambda: model(
        [node("ScatterND", "x", "i", "w")], sizes("i", 2**40), empty(2**20), shape=(4, 4)
    ),
}


def _open_inputs(count: int) -> bytes:
    made = onnx.ModelProto.FromString(model(chain("Elu", count)))
    for place in range(1, count):
        made.graph.input.append(helper.make_tensor_value_info(f"i{place}", TensorProto.FLOAT, ["rows", "width"]))
    content: bytes = made.SerializeToString()
    return content


MEASURED = """
import sys, time
import onnx, onnxruntime
from forwardpass.errors import ForwardpassError
from forwardpass.importers import onnx as importer

def peak():
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]) / 1024

for path in sys.argv[1:]:
    open("/proc/self/clear_refs", "w").write("5")  # the peak begins anew
    memory, start = peak(), time.process_time()
    try:
        importer.read(importer.load_model(path))
    except ForwardpassError as error:
        cost = time.process_time() - start
        print(f"{1000 * cost:.1f} {peak() - memory:.1f} {str(error).splitlines()[0]}")
    else:
        print("accepted")
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux has this file")
def test_hostile_files_are_rejected_in_little_time_and_memory(tmp_path: Path) -> None:
    paths = []
    for place, make in enumerate(HOSTILE.values()):
        paths.append(tmp_path / f"{place}.onnx")
        paths[-1].write_bytes(make())
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, *map(str, paths)], capture_output=True, text=True, check=True, timeout=300
    )
    lines = done.stdout.splitlines()
    assert len(lines) == len(HOSTILE)
    for name, line in zip(HOSTILE, lines, strict=True):
        print(f"{name:32} {line[:150]}")
        milliseconds, megabytes, _ = line.split(" ", 2)
        assert float(megabytes) < 50, name
        assert float(milliseconds) < 1_000, name  # of the processor; ten times what is measured at most


def test_damaged_files_are_rejected_or_read(tmp_path: Path) -> None:
    damage = random.Random(0)
    path = tmp_path / "m.onnx"
    for seed in range(20):
        whole = random_model(seed).SerializeToString()
        for _ in range(20):
            content = bytearray(whole)
            for _ in range(damage.randint(1, 6)):
                place = damage.randrange(len(content))
                bytes_there = content[place : place + damage.randint(0, 3)]
                content[place : place + len(bytes_there)] = damage.choice(
                    [b"", damage.randbytes(1), damage.randbytes(3), bytes_there * 2]
                )
            path.write_bytes(content)
            with contextlib.suppress(UnsupportedModelError):
                read_graph(load_object(str(path)))


OUTSIDE: dict[str, str] = {
    "absolute": "/etc/passwd",
    "above": "../secret",
    "a device": "/dev/zero",
    "a link out": "link",
    "the folder": ".",
    "a pipe": "pipe",
    "no name": "",
    "a name with a zero": "a\0b",
    "not there": "absent",
}


@pytest.mark.parametrize("location", OUTSIDE.values(), ids=OUTSIDE)
def test_no_file_outside_the_folder_is_read(location: str, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "secret").write_bytes(bytes(64))
    (folder / "link").symlink_to(tmp_path / "secret")
    os.mkfifo(folder / "pipe")
    external(folder / "m.onnx", location=location)
    with pytest.raises(UnsupportedModelError, match="the tensor 'w' needs"):
        load_object(str(folder / "m.onnx"))


@pytest.mark.parametrize("facts", [{"offset": "-1"}, {"offset": "1"}, {"length": "63"}, {"offset": "x"}], ids=str)
def test_no_absent_bytes_are_read(facts: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(bytes(64))
    external(tmp_path / "m.onnx", location="w.bin", **facts)
    with pytest.raises(UnsupportedModelError, match="the tensor 'w' needs"):
        load_object(str(tmp_path / "m.onnx"))


def test_numbers_in_a_file_beside_the_model_are_read(tmp_path: Path) -> None:
    weights = np.arange(16, dtype=np.float32)
    (tmp_path / "w.bin").write_bytes(b"head" + weights.tobytes())
    external(tmp_path / "m.onnx", location="w.bin", offset="4", length="64")
    (tensor,) = load_object(str(tmp_path / "m.onnx")).graph.initializer
    assert np.array_equal(onnx.numpy_helper.to_array(tensor), weights.reshape(4, 4))


def external(path: Path, **facts: str) -> None:
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4, 4], data_location=TensorProto.EXTERNAL)
    for key, value in facts.items():
        tensor.external_data.add(key=key, value=value)
    path.write_bytes(model([_MATMUL], tensor))
