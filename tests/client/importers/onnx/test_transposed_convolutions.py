"""Transposed convolutions of ONNX, beside onnxruntime: random ones with every kind of padding."""

from typing import Any

import numpy as np
import onnxruntime
import pytest
from forwardpass import spec
from forwardpass.importers import UnsupportedModelError, import_model
from forwardpass.importers.reference import compute
from forwardpass_server.core import forward
from forwardpass_server.registry.compile import compile_plan

from tests.support.onnx_models import constant, model, node, tensor


def transposed(shape: list[int], weights: Any, bias: Any, **attributes: Any) -> Any:
    """A model of one transposed convolution of rows of this shape."""
    return model(
        [node("ConvTranspose", "x w b", "c", **attributes), node("Flatten", "c", "y")],
        constant("w", weights.astype(np.float32)),
        constant("b", bias.astype(np.float32)),
        inputs=[tensor("x", "rows", *shape)],
        outputs=[tensor("y")],
    )


def random_model(rng: np.random.Generator) -> tuple[list[int], Any]:
    """The shape of a row, and a transposed convolution of it, sometimes with more padding than its kernel is large."""
    axes, group = int(rng.integers(1, 4)), int(rng.integers(1, 3))
    shape = [group * int(rng.integers(1, 3)), *rng.integers(2, 5, axes).tolist()]
    kernel, strides, dilations = (rng.integers(1, 4, axes).tolist() for _ in range(3))
    known = list(zip(shape[1:], kernel, strides, dilations, strict=True))
    ends = [(size - 1) * stride + (length - 1) * gap + 1 for size, length, stride, gap in known]
    more = [int(rng.integers(0, stride)) for stride in strides]
    attributes: dict[str, Any] = {"strides": strides, "dilations": dilations, "group": group}
    if rng.random() < 0.5:
        attributes["output_padding"] = more
    mode = int(rng.integers(4))
    if mode == 0:
        attributes["pads"] = [int(rng.integers(0, (end + 1) // 2)) for end in ends] + [0] * axes
    elif mode == 1:
        reaches = all((length - 1) * gap + 1 >= stride for _, length, stride, gap in known)
        attributes["auto_pad"] = str(rng.choice(["SAME_UPPER", "SAME_LOWER"])) if reaches else "VALID"
    elif mode == 2:
        attributes["output_shape"] = [
            int(rng.integers(max(end - 3, 1), end + min(stride, 2))) for end, stride in zip(ends, strides, strict=True)
        ]
    weights = rng.normal(size=(shape[0], int(rng.integers(1, 3)), *kernel))
    return shape, transposed(shape, weights, rng.normal(size=weights.shape[1] * group), **attributes)


def test_random_transposed_convolutions_equal_onnxruntime() -> None:
    for seed in range(60):
        rng = np.random.default_rng(seed)
        shape, made = random_model(rng)
        network = import_model(made).spec
        rows = rng.normal(size=(3, *shape)).astype(np.float32)
        session = onnxruntime.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
        expected = session.run(None, {"x": rows})[0]
        flat = rows.reshape(3, -1)
        np.testing.assert_allclose(compute(network, flat), expected, rtol=1e-5, atol=1e-5, err_msg=str(seed))
        np.testing.assert_allclose(forward(compile_plan(network), flat), expected, rtol=1e-5, atol=1e-5)


def test_a_transposed_convolution_is_a_conv_with_zeros_between_its_values() -> None:
    network = import_model(transposed([1, 2], np.array([[[1, 2, 3]]]), np.zeros(1), strides=[2], pads=[1, 0])).spec
    (layer,) = network.layers
    assert layer.kind == "conv"
    assert layer.arrays["weights"].tolist() == [[3, 2, 1]]
    assert (layer.settings["input_dilations"], layer.settings["pads"]) == ((2,), (1, 2))
    assert forward(compile_plan(network), np.array([[1, 10]], np.float32)).tolist() == [[2, 13, 20, 30]]
    assert spec.digest(spec.from_json(spec.to_json(network))) == spec.digest(network)


@pytest.mark.parametrize(
    ("attributes", "why"),
    [
        pytest.param({"pads": [1, 1]}, "leaves out all of its outputs by its padding", id="no outputs"),
        pytest.param({"strides": [2], "auto_pad": "SAME_UPPER"}, "further than its kernel reaches", id="no kernel"),
        pytest.param({"output_padding": [-1]}, "has output_padding below 0", id="negative"),
        pytest.param({"pads": [1]}, "has 1 pads for 1 axes", id="pads of one side"),
        pytest.param({"group": 2}, r"has weights of shape \[1, 1, 1\] in 2 groups", id="groups"),
    ],
)
def test_a_transposed_convolution_that_is_not_read(attributes: dict[str, Any], why: str) -> None:
    with pytest.raises(UnsupportedModelError, match=why):
        import_model(transposed([1, 2], np.ones((1, 1, 1)), np.zeros(1), **attributes))
