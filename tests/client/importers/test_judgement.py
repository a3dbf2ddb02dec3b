"""The certificate accepts what rounding does, and finds a difference in the network itself."""

import itertools
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from forwardpass import spec
from forwardpass.importers import ParityError, import_model
from forwardpass.importers.parity import certify, random_rows
from forwardpass.importers.reference import compute, rounding_bounds
from forwardpass.importers.source import Source
from forwardpass.spec import NetworkSpec, parse
from forwardpass_server.core import forward
from forwardpass_server.registry.compile import check_examples, compile_plan

from tests.support.onnx_models import INT64, constant, ml, model, node, tensor


def perceptron(*sizes: int, seed: int = 0, gain: float = 1.0, dtype: str = "float32", last: str = "identity") -> Any:
    """Return the document of an MLP with weights as trainers begin with, times a gain."""
    random = np.random.default_rng(seed)
    layers = [
        {
            "name": f"layer_{place}",
            "weights": (random.normal(size=(after, before)) * np.sqrt(2 / before) * gain).astype(dtype),
            "bias": (random.normal(size=after) * 0.1).astype(dtype),
            "activation": "relu" if place < len(sizes) - 2 else last,
        }
        for place, (before, after) in enumerate(itertools.pairwise(sizes))
    ]
    return {"format": spec.FORMAT, "dtype": dtype, "inputs": sizes[0], "layers": layers}


def convnet(side: int, filters: int, hidden: int, *, seed: int = 0, last: str = "log_softmax") -> Any:
    """Return the document of two convolutions, a pool and two dense layers, as PyTorch's MNIST example has them."""
    random = np.random.default_rng(seed)

    def uniform(*shape: int) -> Any:
        bound = shape[-1] ** -0.5
        return random.uniform(-bound, bound, shape).astype(np.float32)

    middle, half = side - 4, (side - 4) // 2
    corners = [
        channel * middle**2 + 2 * row * middle + 2 * column
        for channel in range(2 * filters)
        for row in range(half)
        for column in range(half)
    ]
    windows = np.array(corners)[:, np.newaxis] + [0, 1, middle, middle + 1]
    first = {"input_shape": [1, side, side], "kernel_shape": [3, 3]}
    second = {"input_shape": [filters, side - 2, side - 2], "kernel_shape": [3, 3]}
    layers = [
        {"kind": "conv", "weights": uniform(filters, 9), "bias": uniform(1, filters)[0], "activation": "relu", **first},
        {
            "kind": "conv",
            "weights": uniform(2 * filters, 9 * filters),
            "bias": uniform(1, 2 * filters)[0],
            "activation": "relu",
            **second,
        },
        {"kind": "pool", "windows": windows, "reduce": "max"},
        {"weights": uniform(hidden, len(corners)), "bias": uniform(1, hidden)[0], "activation": "relu"},
        {"weights": uniform(10, hidden), "bias": uniform(1, 10)[0], "activation": last},
    ]
    return {"format": spec.FORMAT, "dtype": "float32", "inputs": side * side, "layers": layers}


def computed_by_server(network: NetworkSpec) -> Source:
    """Return a source whose framework is the server's core, which adds up in another order than the reference."""
    plan = compile_plan(network)
    return Source(
        framework="core 1",
        model="network",
        width=network.inputs.width,
        names=(),
        mean=None,
        scale=None,
        layers=(),
        outputs=(),
        classes=(),
        compute=lambda rows: forward(plan, rows.astype(network.dtype)).astype(np.float64),
        dtype=network.dtype,
    )


ACCEPTED: dict[str, Any] = {
    "MNIST, softmax": perceptron(784, 128, 10, gain=2.0, last="softmax"),
    "MNIST, three layers": perceptron(784, 256, 256, 10, gain=2.0, last="softmax"),
    "MNIST, logits": perceptron(784, 256, 256, 10, gain=2.0),
    "a controller, six layers": perceptron(5, *[50] * 6, 5),
    "a controller of one output": perceptron(5, *[50] * 6, 1),
    "a convnet": convnet(10, 4, 16, last="identity"),
    "float64": perceptron(64, 64, 64, 5, dtype="float64", gain=2.0),
}


@pytest.mark.parametrize("document", ACCEPTED.values(), ids=ACCEPTED)
def test_rounding_gets_a_certificate_and_examples_that_hold(document: Any) -> None:
    network = parse(document)
    imported = certify(network, computed_by_server(network), np.empty((0, network.inputs.width)), None)
    assert imported.certificate.relative < (1e-3 if network.dtype == "float32" else 1e-11)
    check_examples(imported.spec, compile_plan(imported.spec))


def layer(document: Any, place: int, **changes: Callable[[Any], Any]) -> Any:
    """Return a document with changed fields of one layer."""
    layers = list(document["layers"])
    layers[place] = {**layers[place], **{key: change(layers[place][key]) for key, change in changes.items()}}
    return {**document, "layers": layers}


def one(change: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return a function that changes the first number of an array."""

    def changed(array: Any) -> Any:
        array = array.copy()
        array.flat[0] = change(array.flat[0])
        return array

    return changed


PLANTED: Mapping[str, Callable[[Any], Any]] = {
    "a weight of the last layer by 1e-3": lambda given: layer(given, -1, weights=one(lambda weight: weight + 1e-3)),
    "a weight of the last layer by a thousandth": lambda given: layer(
        given, -1, weights=one(lambda weight: weight * 1.001)
    ),
    "a weight of the first layer by 1e-2": lambda given: layer(given, 0, weights=one(lambda weight: weight + 1e-2)),
    "a bias by 1e-3": lambda given: layer(given, -1, bias=one(lambda bias: bias + 1e-3)),
    "an activation": lambda given: layer(given, -2, activation=lambda _: "leaky_relu"),
    "a similar activation": lambda given: layer(given, -2, activation=lambda _: "gelu"),
    "transposed weights": lambda given: layer(given, 1, weights=lambda weights: weights.T),
    "two inputs swapped": lambda given: layer(given, 0, weights=lambda weights: weights[:, [1, 0, *range(2, 784)]]),
}


@pytest.mark.parametrize("last", ["identity", "softmax"])
@pytest.mark.parametrize("plant", PLANTED.values(), ids=PLANTED)
def test_a_planted_difference_gets_no_certificate(plant: Callable[[Any], Any], last: str) -> None:
    document = perceptron(784, 64, 64, 10, gain=1.5, last=last)
    original = computed_by_server(parse(document))
    with pytest.raises(ParityError, match="than rounding explains"):
        certify(parse(plant(document)), original, np.empty((0, 784)), None)


@pytest.mark.prove
def test_planted_differences_are_found_in_many_networks() -> None:
    found = dict.fromkeys(PLANTED, 0)
    networks = [
        perceptron(784, 128, 128, 10, gain=gain, last=last, seed=seed)
        for gain in (0.7, 1.0, 2.0)
        for last in ("identity", "softmax")
        for seed in range(2)
    ]
    for document in networks:
        original = computed_by_server(parse(document))
        certify(parse(document), original, np.empty((0, 784)), None)
        for name, plant in PLANTED.items():
            try:
                certify(parse(plant(document)), original, np.empty((0, 784)), None)
            except ParityError:
                found[name] += 1
    print("", *(f"{name}: {count} of {len(networks)}" for name, count in found.items()), sep="\n")
    assert set(found.values()) == {len(networks)}


PLANTED_IN_CONVNETS: Mapping[str, Callable[[Any], Any]] = {
    "a weight of the last layer by 1e-3": PLANTED["a weight of the last layer by 1e-3"],
    "a bias by 1e-3": PLANTED["a bias by 1e-3"],
    "a weight of the first filter by 1e-3": lambda given: layer(given, 0, weights=one(lambda weight: weight + 1e-3)),
    "a weight of the second convolution by 1e-3": lambda given: layer(
        given, 1, weights=one(lambda weight: weight + 1e-3)
    ),
    "an activation": lambda given: layer(given, 1, activation=lambda _: "leaky_relu"),
    "a similar activation": lambda given: layer(given, 1, activation=lambda _: "gelu_tanh"),
    "another reduction": lambda given: layer(given, 2, reduce=lambda _: "mean"),
    "a flipped filter": lambda given: layer(
        given, 0, weights=lambda weights: np.concatenate([weights[:1, ::-1], weights[1:]])
    ),
}


@pytest.mark.parametrize(
    "name",
    [
        "a weight of the last layer by 1e-3",
        "a weight of the second convolution by 1e-3",
        "an activation",
        "another reduction",
    ],
)
def test_a_planted_difference_is_found_in_a_convnet(name: str) -> None:
    document = convnet(10, 4, 16)
    with pytest.raises(ParityError, match="than rounding explains"):
        certify(
            parse(PLANTED_IN_CONVNETS[name](document)), computed_by_server(parse(document)), np.empty((0, 100)), None
        )


@pytest.mark.prove
def test_planted_differences_are_found_in_the_convnet_of_mnist() -> None:
    """The network of PyTorch's example. Its first hidden node is not dead: of one that is, a weight changes nothing."""
    networks = [convnet(28, 32, 128)]
    found = dict.fromkeys(PLANTED_IN_CONVNETS, 0)
    for document in networks:
        network = parse(document)
        original = computed_by_server(network)
        began = time.process_time()
        certificate = certify(network, original, np.empty((0, 784)), None).certificate
        print(f"\n{network.parameter_count:,} parameters: {time.process_time() - began:.1f} s of CPU; {certificate}")
        for name, plant in PLANTED_IN_CONVNETS.items():
            try:
                certify(parse(plant(document)), original, np.empty((0, 784)), None)
            except ParityError:
                found[name] += 1
    print("", *(f"{name}: {count} of {len(networks)}" for name, count in found.items()), sep="\n")
    assert set(found.values()) == {len(networks)}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_bounds_are_above_the_errors_and_near_them(dtype: str) -> None:
    network = parse(perceptron(64, 64, 64, 5, dtype=dtype))
    rows = random_rows(network, np.empty((0, 64)))[:200].astype(dtype).astype(np.float64)
    exact, bounds = rounding_bounds(network, rows)
    largest = np.abs(exact).max(axis=1, keepdims=True)
    eps = np.finfo(dtype).eps
    assert np.median(bounds / largest) < 200 * eps
    if dtype == "float32":
        assert (np.abs(compute(network, rows) - exact) <= bounds).all()
        np.testing.assert_array_equal(exact, compute(replace(network, dtype="float64"), rows))


def test_a_step_that_rounding_decides_is_no_difference_and_another_step_is_one() -> None:
    layers = [
        {"weights": np.full((1, 3), 0.1, np.float32), "activation": {"name": "step", "threshold": 0.3}},
        {"weights": [[5.0]]},
    ]
    network = parse({"format": spec.FORMAT, "dtype": "float32", "inputs": 3, "layers": layers})
    original = computed_by_server(network)
    at_the_step = np.ones((1, 3))

    def other(rows: Any) -> Any:
        found = original.compute(rows)
        found[0] = 5.0 - found[0]
        return found

    imported = certify(network, replace(original, compute=other), at_the_step, None)
    assert imported.certificate.rounded_rows == 1
    assert "1 of them by rounding alone" in str(imported.certificate)
    with pytest.raises(ParityError, match="1 of 1,001 rows"):
        certify(network, replace(original, compute=other), 2 * at_the_step, None)


def test_two_outputs_of_different_units_are_judged_by_their_own_sizes() -> None:
    layers = [{"weights": np.array([[1e6, 2e6], [1e-3, 2e-3]], np.float32)}]
    network = parse({"format": spec.FORMAT, "dtype": "float32", "inputs": 2, "layers": layers})
    original = computed_by_server(network)
    with pytest.raises(ParityError):
        certify(
            network,
            replace(original, compute=lambda rows: original.compute(rows) + np.array([0, 1e-6])),
            np.empty((0, 2)),
            None,
        )


def test_one_probability_may_be_computed_from_the_other() -> None:
    """onnxruntime computes `1 - p` in float32, which has no digits of a small number; unscaled features make many."""
    coefficients = np.array([-0.9, 2.0, 0.4, -3.0], np.float32)
    imported = import_model(
        model(
            [
                ml(
                    "LinearClassifier",
                    "x",
                    "label probabilities",
                    coefficients=[*(-coefficients), *coefficients],
                    intercepts=[-30.0, 30.0],
                    classlabels_ints=[0, 1],
                    post_transform="LOGISTIC",
                )
            ],
            inputs=[tensor("x", "rows", 4)],
            outputs=[tensor("label", kind=INT64), tensor("probabilities")],
        )
    )
    assert imported.certificate.relative < 1e-5


def test_categories_are_not_put_off() -> None:
    imported = import_model(
        model(
            [node("Gather", "table place", "e"), node("Gemm", "e w", "y")],
            constant("table", np.random.default_rng(0).normal(size=(9, 4)).astype(np.float32)),
            constant("w", np.array([[1], [-1], [1], [-1]], np.float32)),
            inputs=[tensor("place", "rows", kind=INT64)],
            outputs=[tensor("y")],
        )
    )
    assert imported.certificate.relative < 1e-4
