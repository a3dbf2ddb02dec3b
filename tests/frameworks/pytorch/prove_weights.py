"""Weights in a file, and the module that they belong to in code."""

import json
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch
from forwardpass.errors import InvalidFieldError
from forwardpass.importers import import_model, load_weights
from safetensors.torch import save_file, save_model
from torch import Tensor, nn


class Tied(nn.Module):
    """One matrix that leads in and out, by two names."""

    def __init__(self) -> None:
        super().__init__()
        self.into, self.out = nn.Linear(4, 4), nn.Linear(4, 4)
        self.out.weight = self.into.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.out(torch.tanh(self.into(x)))


def normalized() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))


def _trained(make: type[nn.Module] | object) -> nn.Module:
    module: nn.Module = make()  # type: ignore[operator] # a class or a function
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_()
    module(torch.randn(50, 4))
    return module.eval()


ROWS = np.random.default_rng(0).normal(size=(20, 4))


@pytest.mark.parametrize("make", ["normalized", "Tied"])
def test_the_numbers_of_the_file_are_the_networks(make: str, tmp_path: Path) -> None:
    saved = _trained(globals()[make])
    save_model(saved, str(tmp_path / "weights.safetensors"))
    loaded = load_weights(tmp_path / "weights.safetensors", f"{__name__}:{make}")
    imported = import_model(loaded, rows=ROWS)
    with torch.no_grad():
        expected = saved(torch.from_numpy(ROWS).float()).double().numpy()
    for example in imported.spec.examples:
        (row,) = np.flatnonzero((ROWS.astype(np.float32) == example.inputs).all(axis=1))
        np.testing.assert_array_equal(expected[row], example.outputs)


@pytest.mark.parametrize(
    ("dtype", "expected"), [("float64", "float64"), ("float16", "float32"), ("bfloat16", "float32")]
)
def test_no_number_of_the_file_is_rounded(dtype: str, expected: str, tmp_path: Path) -> None:
    state = {key: tensor.to(getattr(torch, dtype)) if tensor.is_floating_point() else tensor
             for key, tensor in _trained(normalized).state_dict().items()}  # fmt: skip
    save_file(state, tmp_path / "weights.safetensors")
    network = import_model(load_weights(tmp_path / "weights.safetensors", f"{__name__}:normalized")).spec
    assert network.dtype == expected
    np.testing.assert_array_equal(network.layers[0].weights, state["0.weight"].to(torch.float64).numpy())


def test_tensors_that_are_missing_left_over_or_of_another_shape_are_named(tmp_path: Path) -> None:
    state = _trained(normalized).state_dict()
    del state["1.running_mean"]
    save_file({**state, "3.weight": torch.zeros(3, 8), "4.bias": torch.zeros(1)}, tmp_path / "weights.safetensors")
    with pytest.raises(InvalidFieldError) as caught:
        load_weights(tmp_path / "weights.safetensors", f"{__name__}:normalized")
    assert [(fault.path, fault.message) for fault in caught.value.faults] == [
        ("weights.safetensors.1.running_mean", "is missing; the module has it, of shape [8]"),
        ("weights.safetensors.3.weight", "has the shape [3, 8]; must be [2, 8]"),
        ("weights.safetensors.4.bias", "is not a tensor of the module"),
    ]


def _headed(header: str, data: bytes = b"") -> bytes:
    return len(header).to_bytes(8, "little") + header.encode() + data


def _entry(shape: list[int], offsets: list[int]) -> str:
    return json.dumps({"0.weight": {"dtype": "F32", "shape": shape, "data_offsets": offsets}})


HOSTILE = {
    "nothing": b"",
    "a pickle": b"\x80\x02}q\x00.",
    "a zip": b"PK\x03\x04" + bytes(100),
    "noise": b"\xff" * 100,
    "a header longer than any file": (2**60).to_bytes(8, "little") + b"{}",
    "no JSON": _headed("{", bytes(8)),
    "a million brackets": _headed("[" * 1_000_000),
    "a tensor larger than any memory": _headed(_entry([2**40, 2**40], [0, 4]), bytes(4)),
    "a tensor outside of the file": _headed(_entry([8, 4], [0, 128])),
    "a tensor before the file": _headed(_entry([1], [-4, 0]), bytes(4)),
    "bytes of no tensor": _headed(_entry([1], [4, 8]), bytes(8)),
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_another_file_than_safetensors_is_rejected_at_once(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "weights.safetensors").write_bytes(content)
    tracemalloc.start()
    begun = time.process_time()
    with pytest.raises(InvalidFieldError, match="cannot be read as safetensors"):
        load_weights(tmp_path / "weights.safetensors", f"{__name__}:normalized")
    spent, (_, peak) = time.process_time() - begun, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert spent < 0.1
    assert peak < 50_000_000
