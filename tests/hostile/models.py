"""Hostile models of frameworks: files of skops, folders of MLflow, archives of Keras, and ONNX."""

import io
import json
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import skops.io
from forwardpass.importers import import_model
from forwardpass.importers.model_loader import load_object
from onnx import TensorProto, helper

from tests.hostile.corpus import Hostile, as_file

MILLION = 1_000_000


def read_file(path: Path) -> object:
    return import_model(load_object(str(path)))


def read_folder(content: bytes) -> object:
    """Read a description of MLflow in a folder of its own."""

    def read(path: Path) -> object:
        (path.parent / "MLmodel").write_bytes(content)
        return load_object(f"mlflow:{path.parent}")

    return as_file(".other", read)(b"")


assert skops.io  # which takes two seconds to import
SKOPS, KERAS, ONNX = (as_file(suffix, read_file) for suffix in (".skops", ".keras", ".onnx"))


def archive(**members: bytes | str) -> bytes:
    """An archive; two underscores in a member's name are a dot."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as file:
        for name, member in members.items():
            file.writestr(name.replace("__", "."), member)
    return content.getvalue()


def model_of_skops(schema: str | bytes, **members: bytes | str) -> bytes:
    return archive(schema__json=schema, **members)


def many_members() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        file.writestr("schema.json", "{}")
        for place in range(10_001):
            file.writestr(str(place), "")
    return content.getvalue()


def array(shape: str) -> bytes:
    """A model of skops whose array declares a shape."""
    header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}".encode()
    numbers = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
    node = {"__class__": "ndarray", "__module__": "numpy", "__loader__": "NdArrayNode", "type": "numpy"}
    return model_of_skops(json.dumps({**node, "file": "a.npy", "protocol": 1}), a__npy=numbers)


def keras(*layers: Any, shape: Any = (None, 4)) -> bytes:
    """An archive of a Sequential model without weights."""
    given = {"module": "keras.layers", "class_name": "InputLayer", "config": {"name": "x", "batch_shape": list(shape)}}
    config = {"module": "keras", "class_name": "Sequential", "config": {"name": "m", "layers": [given, *layers]}}
    metadata = json.dumps({"keras_version": "3.9.0"})
    weights = io.BytesIO()
    h5py.File(weights, "w").close()
    return archive(metadata__json=metadata, config__json=json.dumps(config), model__weights__h5=weights.getvalue())


def layer(kind: str, **config: Any) -> dict[str, Any]:
    settings = {"name": kind.lower(), "dtype": "float32", **config}
    return {"module": "keras.layers", "class_name": kind, "config": settings}


def onnx_model(
    op: str, *names: str, shape: tuple[Any, ...] = ("rows", 4), opset: int = 18, **attributes: Any
) -> Callable[[], bytes]:
    """Make a model of one node, whose inputs besides `x` are weights, each given as `NAME:SIZE,SIZE`."""

    def make() -> bytes:
        weights = []
        for name in names:
            word, colon, sizes = name.partition(":")
            if colon:
                numbers = np.zeros(list(map(int, sizes.split(","))), np.float32)
                weights.append(helper.make_tensor(word, TensorProto.FLOAT, numbers.shape, numbers.tobytes(), raw=True))
        graph = helper.make_graph(
            [helper.make_node(op, [name.partition(":")[0] for name in names], ["y"], **attributes)],
            "graph",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, list(shape))],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
            weights,
        )
        content: bytes = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)]).SerializeToString()
        return content

    return make


IMAGE = (None, 8, 8, 2)
ROWS = ("rows", 2, 16, 16)
CORPUS: Mapping[str, Hostile] = {
    "skops: no archive": Hostile(make=lambda: bytes(MILLION), read=SKOPS, words="is no archive"),
    "skops: a bomb of zeros": Hostile(
        make=lambda: model_of_skops(bytes(2**26)), read=SKOPS, words="bytes unpacked; at most"
    ),
    "skops: a bomb of lists": Hostile(make=lambda: model_of_skops("[" * 2**24), read=SKOPS, words="lists and objects"),
    "skops: a deep nest": Hostile(
        make=lambda: model_of_skops('{"a":' * 100_000), read=SKOPS, words="cannot be read by skops"
    ),
    "skops: many members": Hostile(make=many_members, read=SKOPS, words="has 10,002 members"),
    "skops: a terabyte of numbers": Hostile(
        make=lambda: array("(137438953472,)"), read=SKOPS, words="cannot be read by skops"
    ),
    "skops: objects": Hostile(
        make=lambda: model_of_skops('{"__class__": "Popen", "__module__": "subprocess", "__loader__": "ObjectNode"}'),
        read=SKOPS,
        words="cannot be read by skops",
    ),
    "mlflow: a deep nest": Hostile(make=lambda: b"flavors: " + b"[" * 60_000, read=read_folder, words="is not YAML"),
    "mlflow: maps in maps": Hostile(make=lambda: b"{a: " * 15_000, read=read_folder, words="is not YAML"),
    "mlflow: keys that double": Hostile(
        make=lambda: (
            b"a0: &a0 {x: 1}\n"
            + b"".join(b"a%d: &a%d {<<: [*a%d, *a%d]}\n" % (n, n, n - 1, n - 1) for n in range(1, 60))
        ),
        read=read_folder,
        words="without `flavors`",
    ),
    "mlflow: a long number": Hostile(
        make=lambda: b"flavors: {onnx: {data: 1" + b":11" * 20_000 + b"}}", read=read_folder, words="no file of"
    ),
    "mlflow: many flavors": Hostile(
        make=lambda: b"flavors: {" + b", ".join(b"f%d: {}" % n for n in range(6_000)) + b"}",
        read=read_folder,
        words="has the flavors f0, f1,",
    ),
    "mlflow: too long": Hostile(make=lambda: b"a" * MILLION, read=read_folder, words="characters"),
    "keras: a bomb of lists": Hostile(
        make=lambda: archive(metadata__json="{}", config__json="[" * 2**23, model__weights__h5=b""),
        read=KERAS,
        words="lists and objects",
    ),
    "keras: a kernel beyond all": Hostile(
        make=lambda: keras(layer("Conv2D", filters=2, kernel_size=[2**40, 1]), shape=IMAGE), read=KERAS, words="Conv2D"
    ),
    "keras: filters beyond all": Hostile(
        make=lambda: keras(layer("Conv2D", filters=2**50, kernel_size=[1, 1]), shape=IMAGE), read=KERAS, words="Conv2D"
    ),
    "keras: steps of none": Hostile(
        make=lambda: keras(layer("MaxPooling2D", pool_size=[2, 2], strides=[0, 0]), shape=IMAGE),
        read=KERAS,
        words="MaxPooling2D",
    ),
    "keras: padded beyond all": Hostile(
        make=lambda: keras(layer("ZeroPadding2D", padding=[[2**40, 0], [0, 0]]), shape=IMAGE),
        read=KERAS,
        words="ZeroPadding2D",
    ),
    "keras: enlarged beyond all": Hostile(
        make=lambda: keras(layer("UpSampling2D", size=[2**40, 2**40]), shape=IMAGE), read=KERAS, words="UpSampling2D"
    ),
    "onnx: an image beyond all": Hostile(
        make=onnx_model("Conv", "x", "w:1,1,3,3", shape=("rows", 1, 2**30, 2**30)), read=ONNX, words="at most 65,536"
    ),
    "onnx: a convolution padded beyond all": Hostile(
        make=onnx_model("Conv", "x", "w:2,2,3,3", shape=ROWS, pads=[2**40, 0, 0, 0]), read=ONNX, words="Conv"
    ),
    "onnx: a convolution spread beyond all": Hostile(
        make=onnx_model("Conv", "x", "w:2,2,3,3", shape=ROWS, dilations=[2**60, 2**60]), read=ONNX, words="Conv"
    ),
    "onnx: a convolution of no groups": Hostile(
        make=onnx_model("Conv", "x", "w:2,2,3,3", shape=ROWS, group=0), read=ONNX, words="Conv"
    ),
    "onnx: a convolution without steps": Hostile(
        make=onnx_model("Conv", "x", "w:2,2,3,3", shape=ROWS, strides=[0, 0]), read=ONNX, words="Conv"
    ),
    "onnx: sums of an axis beyond all": Hostile(
        make=onnx_model("Einsum", "x", "x", shape=("rows", 4), equation="...a,...b->" + "ab" * 40),
        read=ONNX,
        words="Einsum",
    ),
    "onnx: all products of wide rows": Hostile(
        make=onnx_model("Einsum", "x", "x", "x", shape=("rows", 4_000), equation="ra,rb,rc->rabc"),
        read=ONNX,
        words="Einsum",
    ),
    "onnx: attention of no heads": Hostile(
        make=onnx_model("Attention", "x", "x", "x", shape=("rows", 64, 64), opset=23, q_num_heads=0, kv_num_heads=0),
        read=ONNX,
        words="Attention",
    ),
    "onnx: attention of long rows": Hostile(
        make=onnx_model("Attention", "x", "x", "x", shape=("rows", 16_384, 4), opset=23, q_num_heads=1, kv_num_heads=1),
        read=ONNX,
        words="Attention",
    ),
    "onnx: groups of none": Hostile(
        make=onnx_model("GroupNormalization", "x", "s:4", "b:4", shape=("rows", 4), opset=21, num_groups=0),
        read=ONNX,
        words="GroupNormalization",
    ),
    "onnx: a recurrence beyond all": Hostile(
        make=onnx_model("GRU", "x", "w:1,3,4", "r:1,3,1", shape=(2**40, "rows", 4), hidden_size=2**40),
        read=ONNX,
        words="",
    ),
    "onnx: an LSTM without weights": Hostile(
        make=onnx_model("LSTM", "x", shape=("rows", 4, 4), hidden_size=1), read=ONNX, words="LSTM"
    ),
}
