"""Files that Keras wrote, beside what it computed; and files that someone else did, which are refused early."""

import io
import json
import time
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from forwardpass import spec
from forwardpass.importers import UnsupportedModelError, load_object, reference
from forwardpass.importers.keras.archive import open_archive
from forwardpass.importers.keras.frontend import follow
from forwardpass.importers.keras.variable_paths import snake_case, variable_path
from forwardpass_server.core import forward
from forwardpass_server.registry.compile import compile_plan

FILES = Path(__file__).parent / "keras_files"


@pytest.mark.parametrize("name", sorted(path.stem for path in FILES.glob("*.keras")))
def test_a_file_gives_the_numbers_of_keras(name: str) -> None:
    known = json.loads((FILES / f"{name}.json").read_text())
    rows, expected = np.array(known["rows"]), np.array(known["outputs"])
    _, reader, outputs = follow(open_archive(FILES / f"{name}.keras"))
    several = len(reader.inputs) > 1
    network = spec.parse(
        {
            "format": spec.FORMAT,
            "inputs": [
                {"name": f"input {index}", "mean": float(mean), "scale": float(scale)}
                for index, (mean, scale) in enumerate(
                    zip(reader.constraints.mean, reader.constraints.scale, strict=True)
                )
            ],
            "input_groups": [{"name": each.group, "width": each.width} for each in reader.inputs] if several else [],
            "layers": reader.graph.layers,
            "output_layers": [values.sources[0] for values in outputs],
        }
    )
    np.testing.assert_allclose(reference.compute(network, rows), expected, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(forward(compile_plan(network), rows), expected, rtol=1e-12, atol=1e-13)
    sample = reader.constraints.sample(np.random.default_rng(0), 200)
    assert np.isfinite(forward(compile_plan(network), sample)).all()


def test_names_of_variables_are_counted_by_class() -> None:
    counts: dict[str, int] = {}
    kinds = ["Dense", "PReLU", "Dense", "GlobalMaxPooling1D", "LeakyReLU", "Dense"]
    assert [variable_path("layers/functional", kind, counts).rpartition("/")[2] for kind in kinds] == [
        "dense",
        "p_re_lu",
        "dense_1",
        "global_max_pooling1d",
        "leaky_re_lu",
        "dense_2",
    ]
    assert snake_case("BatchNormalization") == "batch_normalization"


def layer(kind: str, **config: Any) -> dict[str, Any]:
    return {
        "module": "keras.layers",
        "class_name": kind,
        "config": {"name": kind.lower(), "dtype": "float32", **config},
    }


def sequential(*layers: Any, shape: Any = (None, 4)) -> dict[str, Any]:
    given = layer("InputLayer", batch_shape=list(shape))
    return {"module": "keras", "class_name": "Sequential", "config": {"name": "model", "layers": [given, *layers]}}


def weights(fill: Callable[[Any], None] = lambda _: None, kind: str = "dense") -> bytes:
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        fill(file.create_group(f"layers/{kind}/vars"))
    return content.getvalue()


def dense(group: Any) -> None:
    group["0"], group["1"] = np.ones((4, 2), np.float32), np.zeros(2, np.float32)


def kernel(group: Any) -> None:
    group["0"], group["1"] = np.ones((2, 1, 3), np.float32), np.zeros(3, np.float32)


DOWNLOAD = {"module": "keras.utils", "class_name": "get_file", "config": {"origin": "https://example.com"}}
ELSEWHERE = {"module": "subprocess", "class_name": "run", "config": {}}
DENSE = layer("Dense", units=2, activation="relu")
HALF = layer("InputLayer", batch_shape=[None, 4], dtype="float16")


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., str]:
    """Write a file with some of its members replaced."""

    def write(**members: Any) -> str:
        config = members.pop("config", sequential(DENSE))
        parts = {
            "metadata.json": json.dumps({"keras_version": members.pop("version", "3.9.0")}),
            "config.json": config if isinstance(config, str) else json.dumps(config),
            "model.weights.h5": members.pop("weights", weights(dense)),
        }
        path = tmp_path / "model.keras"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in parts.items():
                if members.get("without") != name:
                    archive.writestr(name, content)
        return str(path)

    return write


def test_the_unchanged_file_is_read(write: Callable[..., str]) -> None:
    _, reader, _ = follow(open_archive(write()))
    (only,) = reader.graph.layers
    assert (only["name"], only["activation"], only["weights"].shape) == ("dense", "relu", (2, 4))
    assert reader.dtypes == {"float32"}


def test_a_damaged_archive_is_rejected(write: Callable[..., str]) -> None:
    path = Path(write())
    content = path.read_bytes()
    directory = content.index(b"PK\x01\x02")
    before_the_file = content[: directory + 42] + b"\xff\xff\xff\x7f" + content[directory + 46 :]  # header offset
    end = content.rindex(b"PK\x05\x06")
    shifted = content[: end + 16] + (2**31).to_bytes(4, "little") + content[end + 20 :]  # the directory's offset
    packed = content.index(b"metadata.json") + len("metadata.json")
    not_deflated = content[:packed] + b"\xff" * 8 + content[packed + 8 :]
    for damaged in (before_the_file, shifted, not_deflated):
        path.write_bytes(damaged)
        with pytest.raises(UnsupportedModelError, match="is no archive that can be read"):
            open_archive(path)


def test_a_file_that_is_no_archive_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "model.keras").write_bytes(b"PK\x03\x04 is not enough")
    with pytest.raises(UnsupportedModelError, match="is no archive that can be read"):
        load_object(str(tmp_path / "model.keras"))
    with pytest.raises(UnsupportedModelError, match="cannot be read"):
        load_object(str(tmp_path / "nothing.keras"))


def functional(calls: dict[str, list[str]]) -> dict[str, Any]:
    """A model of `Add` layers, each with the names of what it reads."""

    def tensor(name: str) -> Any:
        return {"class_name": "__keras_tensor__", "config": {"shape": [None, 4], "keras_history": [name, 0, 0]}}

    layers = [{**layer("InputLayer", batch_shape=[None, 4]), "inbound_nodes": []}]
    for name, sources in calls.items():
        node = {"args": [[tensor(source) for source in sources]], "kwargs": {}}
        layers.append({**layer("Add"), "inbound_nodes": [node]})
        layers[-1]["config"]["name"] = name
    ends = {"input_layers": [["inputlayer", 0, 0]], "output_layers": [[list(calls)[-1], 0, 0]]}
    return {"module": "keras", "class_name": "Functional", "config": {"name": "model", "layers": layers, **ends}}


def test_outputs_that_a_feature_space_joins_are_one_layer(write: Callable[..., str]) -> None:
    """The layers of a FeatureSpace are registered by their names."""
    config = functional({"a": ["inputlayer", "inputlayer"], "b": ["a", "inputlayer"], "c": ["a", "b"]})
    config["config"]["layers"][-1] |= {
        "module": "keras.src.layers.preprocessing.feature_space",
        "class_name": "TFDConcat",
        "registered_name": "TFDConcat",
    }
    _, reader, (output,) = follow(open_archive(write(config=config)))
    assert [each["name"] for each in reader.graph.layers] == ["a", "a_2", "b", "output"]
    assert (output.sources, output.size) == (("output",), 8)


def operation(kind: str, *others: Any, shape: Any = (None, 4), **config: Any) -> dict[str, Any]:
    """A model of one operation of `keras.ops`, of an input and constants."""
    given = {"class_name": "__keras_tensor__", "config": {"shape": list(shape), "keras_history": ["inputlayer", 0, 0]}}
    layers = [
        {**layer("InputLayer", batch_shape=list(shape)), "inbound_nodes": []},
        {
            "module": "keras.src.ops.numpy",
            "class_name": kind,
            "config": {"name": "done", **config},
            "registered_name": kind,
            "inbound_nodes": [{"args": [given, *(given if other is ... else other for other in others)], "kwargs": {}}],
        },
    ]
    ends = {"input_layers": [["inputlayer", 0, 0]], "output_layers": [["done", 0, 0]]}
    return {"module": "keras", "class_name": "Functional", "config": {"name": "model", "layers": layers, **ends}}


def constant(value: Any) -> dict[str, Any]:
    return {"class_name": "__tensor__", "config": {"value": value, "dtype": "float32"}}


def slice_of(*ends: Any) -> dict[str, Any]:
    return {"class_name": "__slice__", "config": dict(zip(("start", "stop", "step"), ends, strict=True))}


def soft_link(group: Any) -> None:
    dense(group)
    del group["0"]
    group["0"] = h5py.SoftLink("/layers/dense/vars/1")


def external_link(group: Any) -> None:
    group["0"] = h5py.ExternalLink("/etc/passwd", "/")
    group["1"] = np.zeros(2)


def external_numbers(group: Any) -> None:
    group.create_dataset("0", (4, 2), "f4", external=[("/etc/passwd", 0, 32)])
    group["1"] = np.zeros(2)


def huge(group: Any) -> None:
    group.create_dataset("0", (10**6, 10**6), "f4", chunks=(1, 1024))
    group["1"] = np.zeros(2)


def rounded(group: Any) -> None:
    group["0"], group["1"] = np.ones((4, 2), np.int8), np.zeros(2)


HOSTILE: dict[str, tuple[dict[str, Any], str]] = {
    "no configuration": ({"without": "config.json"}, "has no config.json"),
    "Keras 2": ({"version": "2.15.0"}, "was written by Keras 2.15.0; save it by Keras 2's own package"),
    "a bomb of zeros": ({"config": "0" * 100_000_000}, "has 100,000,000 bytes unpacked; at most"),
    "a bomb of lists": ({"config": "[" * 2_000_000}, "has more than 131,072 lists and objects"),
    "a deep nest": ({"config": '{"a":' * 100_000}, "is not JSON"),
    "a million layers": ({"config": sequential(*[{}] * 1_000_000)}, "has more than 131,072 lists and objects"),
    "many layers": ({"config": sequential(*[DENSE] * 5_000)}, "has 5,001 layers; at most 1,024 are read"),
    "a FeatureSpace": (
        {"config": {"module": "keras.utils", "class_name": "FeatureSpace", "config": {}}},
        "is a FeatureSpace alone; write a module with",
    ),
    "a class that is named as one of a FeatureSpace": (
        {"config": sequential({**layer("TFDConcat"), "module": "mine", "registered_name": "TFDConcat"})},
        "TFDConcat of mine is no layer of Keras's own",
    ),
    "a quantized layer": (
        {"config": sequential({**DENSE, "config": {**DENSE["config"], "dtype": {"config": {"mode": "int8"}}}})},
        "Dense is quantized; import the model as it was before",
    ),
    "a dtype that is none": (
        {"config": sequential({**DENSE, "config": {**DENSE["config"], "dtype": {"config": [1]}}})},
        "Dense computes in None; float32 and float64 are read",
    ),
    "inputs of half precision": (
        {"config": {**sequential(), "config": {"name": "model", "layers": [HALF, DENSE]}}},
        "InputLayer takes float16, which rounds the rows; build the model in float32",
    ),
    "no layers": ({"config": {"module": "keras", "class_name": "Sequential", "config": {"layers": []}}}, "no layers"),
    "layers that are none": ({"config": sequential(1, "a")}, "a configuration that Keras 3 does not write"),
    "wide inputs": ({"config": sequential(DENSE, shape=(None, 10**9))}, "has 1,000,000,000 values for each row"),
    "open inputs": ({"config": sequential(DENSE, shape=(None, None))}, "each row needs a fixed number of values"),
    "a million repetitions": ({"config": operation("Repeat", repeats=10**9, axis=1)}, "values for each row; at most"),
    "many tiles": ({"config": operation("Tile", repeats=[1, 10**9])}, "values for each row; at most"),
    "tiles of rows": ({"config": operation("Tile", repeats=[2, 1])}, "1 is needed for the rows"),
    "a wide frame": ({"config": operation("Pad", pad_width=[[0, 0], [0, 10**9]])}, "values for each row; at most"),
    "a frame around the rows": ({"config": operation("Pad", pad_width=[[1, 0], [0, 0]])}, "moves or chooses rows"),
    "a huge shape": ({"config": operation("Reshape", newshape=[-1, 10**18, 10**18])}, "which mixes rows"),
    "a shape of words": ({"config": operation("Reshape", newshape=[-1, "4"])}, "where a list of integers is needed"),
    "an axis that is a word": ({"config": operation("Sum", axis="1")}, "has axis='1', where integers are needed"),
    "an axis far away": ({"config": operation("Sum", axis=-(10**18))}, "works along axis -1000000000000000000 of 2"),
    "an axis of the rows": ({"config": operation("Max", axis=0)}, "one of each row's own is read"),
    "an axis named twice": ({"config": operation("Sum", axis=[1, -1])}, "which names an axis twice"),
    "places that are words": ({"config": operation("GetItem", [slice_of(None, None, None), "1"])}, "a key that Keras"),
    "slices by words": (
        {"config": operation("GetItem", [slice_of(None, None, None), slice_of("1", 2, 1)])},
        "do not fit",
    ),
    "slices of rows": ({"config": operation("GetItem", [slice_of(0, 1, None)])}, "moves or chooses rows"),
    "a place that is not there": (
        {"config": operation("GetItem", [slice_of(None, None, None), 10**18])},
        "that do not fit it",
    ),
    "places far away": ({"config": operation("Take", [10**12], axis=1)}, "that do not fit it"),
    "many parts": ({"config": operation("Split", indices_or_sections=10**9, axis=1)}, "indices_or_sections=1000000000"),
    "a constant of words": (
        {"config": operation("Add", constant(["a"]))},
        "a configuration that Keras 3 does not write",
    ),
    "a constant of several rows": (
        {"config": operation("Add", constant([[1, 2, 3, 4], [1, 2, 3, 4]]))},
        "which has several rows",
    ),
    "an equation without end": ({"config": operation("Einsum", ..., subscripts="a" * 100_000)}, "and 2 operands"),
    "an equation of rows by rows": (
        {"config": operation("Einsum", ..., subscripts="ab,cb->ac")},
        "multiplies rows by other",
    ),
    "a product of rows": ({"config": operation("Matmul", ...)}, "multiplies rows by other rows"),
    "a table of products": (
        {"config": operation("Einsum", ..., subscripts="ab,ac->abc", shape=(None, 60_000))},
        "elements for each row; at most",
    ),
    "a norm of words": ({"config": operation("Norm", ord="nuc", axis=1)}, "is the norm ord='nuc'"),
    "heads without weights": (
        {"config": sequential(layer("MultiHeadAttention", num_heads=10**9), shape=(None, 2, 2))},
        "other things than two or three tensors",
    ),
    "many repetitions": ({"config": sequential(layer("RepeatVector", n=10**9))}, "values for each row; at most"),
    "many tokens": (
        {"config": sequential(layer("CategoryEncoding", num_tokens=10**9))},
        "values for each row; at most",
    ),
    "wide windows": (
        {"config": sequential(layer("MaxPooling1D", pool_size=10**9, padding="same"), shape=(None, 4, 1))},
        r"has windows of \[1000000000\]",
    ),
    "many wide windows": (
        {"config": sequential(layer("AveragePooling3D", pool_size=60_000, padding="same"), shape=(None, 2, 2, 2, 1))},
        "has windows that are too many or too large",
    ),
    "wide padding": (
        {"config": sequential(layer("ZeroPadding2D", padding=10**9), shape=(None, 2, 2, 1))},
        "nodes; at most 65,536 are allowed",
    ),
    "negative cropping": (
        {"config": sequential(layer("Cropping2D", cropping=[[-1, 0], [0, 0]]), shape=(None, 2, 2, 1))},
        "where two numbers from 0 on are needed for each of 2 axes",
    ),
    "a large enlargement": (
        {"config": sequential(layer("UpSampling3D", size=[10**9] * 3), shape=(None, 2, 2, 2, 1))},
        "values for each row; at most",
    ),
    "a convolution without strides": (
        {"config": sequential(layer("Conv1D", strides=[0]), shape=(None, 4, 1)), "weights": weights(kernel, "conv1d")},
        "has a stride or a dilation below 1",
    ),
    "a convolution with a wide gap": (
        {
            "config": sequential(layer("Conv1D", dilation_rate=[10**12]), shape=(None, 4, 1)),
            "weights": weights(kernel, "conv1d"),
        },
        "has a kernel_shape that spans",
    ),
    "a kernel of another rank": (
        {"config": sequential(layer("Conv2D"), shape=(None, 2, 2, 1)), "weights": weights(kernel, "conv2d")},
        r"has a kernel of shape \[2, 1, 3\]; 4 axes are needed",
    ),
    "another layout": (
        {"config": sequential(layer("MaxPooling1D", data_format="rows_last"), shape=(None, 4, 1))},
        "has data_format='rows_last'; channels_last and channels_first are read",
    ),
    "a circle": ({"config": functional({"a": ["b", "inputlayer"], "b": ["a", "inputlayer"]})}, "needs its own output"),
    "a layer that is not there": ({"config": functional({"a": ["inputlayer", "b"]})}, "has no layer 'b'"),
    "a class from elsewhere": (
        {"config": sequential({**layer("Dense"), "module": "os", "class_name": "system"})},
        "is no layer of Keras's own",
    ),
    "a function from elsewhere": (
        {"config": sequential({**DENSE, "config": {**DENSE["config"], "kernel_initializer": ELSEWHERE}})},
        "names run of subprocess, which is not what layers are made with",
    ),
    "a download": (
        {"config": sequential({**DENSE, "config": {**DENSE["config"], "bias_regularizer": DOWNLOAD}})},
        "names get_file of keras.utils, which is not what layers are made with",
    ),
    "a Lambda": ({"config": sequential(layer("Lambda", function="x"))}, "runs code from the file, which is never done"),
    "no HDF5": ({"weights": b"nothing"}, "is no HDF5 file"),
    "no weights": ({"weights": weights()}, "that do not fit it"),
    "weights of another shape": (
        {"config": sequential(DENSE, shape=(None, 5))},
        r"has a kernel of shape \[4, 2\] for values of \[5\]",
    ),
    "a link": ({"weights": weights(soft_link)}, "is a link to elsewhere, which is not followed"),
    "a link to a file": ({"weights": weights(external_link)}, "is a link to elsewhere, which is not followed"),
    "numbers in another file": ({"weights": weights(external_numbers)}, "whose numbers are in other files"),
    "a terabyte of numbers": ({"weights": weights(huge)}, "with which there are more than 71,303,168"),
    "rounded weights": ({"weights": weights(rounded)}, "of int8; float32 or float64 is needed"),
}


def test_a_file_of_hdf5_is_rejected_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    with h5py.File(path, "w"):
        pass
    with pytest.raises(UnsupportedModelError, match=r"in spite of its name; rename it to FILE\.h5, and import that"):
        load_object(str(path))


def configured(config: Any) -> Callable[[h5py.File], None]:
    def fill(file: h5py.File) -> None:
        file.attrs["model_config"] = config if isinstance(config, str) else json.dumps(config)

    return fill


def virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((4,), "f4")
    layout[:] = h5py.VirtualSource("/etc/passwd", "numbers", (4,))
    file.create_virtual_dataset("numbers", layout)


def of_links(file: h5py.File) -> None:
    file["elsewhere"] = h5py.ExternalLink("/etc/passwd", "/")


def of_a_circle(file: h5py.File) -> None:
    file.create_group("model_weights")["again"] = h5py.SoftLink("/model_weights")


def hard_circle(file: h5py.File) -> None:
    group = file.create_group("model_weights")
    group["again"] = group


def of_zeros(file: h5py.File) -> None:
    file.create_dataset("numbers", (10**6, 10**6), "f4", chunks=(1, 1024))


HOSTILE_HDF5: dict[str, tuple[Callable[[h5py.File], None], str]] = {
    "no model": (lambda _: None, "has no model, perhaps weights alone; write a module"),
    "no JSON": (configured("nothing"), "is not JSON"),
    "a deep nest": (configured('{"a":' * 10_000), "is not JSON"),
    "a Lambda": (configured(sequential({"class_name": "Lambda", "config": {"name": "code"}})), "Lambda runs code"),
    "a Lambda in a layer": (
        configured(sequential(layer("TimeDistributed", layer={"class_name": "Lambda", "config": {}}))),
        "Lambda runs code from the file",
    ),
    "an operation of TensorFlow": (configured(sequential({"class_name": "TFOpLambda"})), "which Keras 3 does not load"),
    "an operation of Keras": (configured(sequential({"class_name": "NotEqual"})), "save the model as FILE.keras"),
    "a class that is no text": (configured(sequential({"class_name": ["Dense"]})), "is not supported"),
    "a class from elsewhere": (configured(sequential({**layer("Dense"), "module": "os"})), "names Dense of os"),
    "a function from elsewhere": (
        configured(sequential({**DENSE, "config": {**DENSE["config"], "kernel_initializer": ELSEWHERE}})),
        "run is not supported",
    ),
    "words in another file": (
        configured(sequential(layer("StringLookup", vocabulary="/etc/passwd"))),
        "has its vocabulary in the file '/etc/passwd'",
    ),
    "a link": (of_links, "is a link to elsewhere, which is not followed"),
    "a circle": (of_a_circle, "is a link to elsewhere, which is not followed"),
    "a circle without links": (hard_circle, "is in the file at another place too"),
    "numbers in another file": (virtual, "has its numbers in other files"),
    "a terabyte of numbers": (of_zeros, "bytes of numbers; at most"),
}


@pytest.mark.parametrize(("fill", "words"), HOSTILE_HDF5.values(), ids=HOSTILE_HDF5)
def test_a_hostile_file_of_hdf5_is_rejected(fill: Callable[[h5py.File], None], words: str, tmp_path: Path) -> None:
    path = tmp_path / "model.h5"
    with h5py.File(path, "w") as file:
        fill(file)
    with pytest.raises(UnsupportedModelError, match=words):
        load_object(str(path))


def test_a_file_with_another_content_than_its_name_says_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / "model.h5"
    path.write_bytes(b"nothing")
    with pytest.raises(UnsupportedModelError, match="is no file of HDF5 that can be read"):
        load_object(str(path))
    with pytest.raises(UnsupportedModelError, match="is no file of HDF5 that can be read"):
        load_object(str(tmp_path / "absent.h5"))


@pytest.mark.parametrize(("parts", "words"), HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_file_is_rejected_before_it_costs_anything(
    parts: dict[str, Any], words: str, write: Callable[..., str]
) -> None:
    path = write(**parts)
    tracemalloc.start()
    try:
        with pytest.raises(UnsupportedModelError, match=words):
            load_object(path)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 50_000_000
    started = time.process_time()
    with pytest.raises(UnsupportedModelError):
        load_object(path)
    print(f"{path}: {time.process_time() - started:.3f} s of CPU, {most / 1e6:.1f} MB")
