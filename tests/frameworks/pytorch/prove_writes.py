"""Writes into tensors that something else reads reach it, or are rejected."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from forwardpass.importers import UnsupportedModelError, import_model
from forwardpass_server.core import forward
from forwardpass_server.registry.compile import compile_plan
from torch import Tensor, nn
from torch.nn import functional

torch.set_num_threads(1)

_MOST = 50.0
"""What the writes limit numbers to; the rows of the certificate do not reach it, those of the tests do."""


class Written(nn.Module):
    """A dense layer, and a function that writes."""

    def __init__(self, function: Callable[[Any, Tensor], Tensor]) -> None:
        super().__init__()
        self.first, self.dropout, self.function = nn.Linear(5, 4), nn.Dropout(), function
        self.limit = nn.Hardtanh(-_MOST, _MOST, inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self, self.first(x))


MAY_RETURN_THEIR_INPUT: dict[str, Callable[[Any, Tensor], Tensor]] = {
    "contiguous": lambda _, h: h.contiguous(),
    "to": lambda _, h: h.to(h.dtype),
    "float": lambda _, h: h.float(),
    "expand_as": lambda _, h: h.expand_as(h),
    "reshape": lambda _, h: h.reshape(-1, 4),
    "flatten": lambda _, h: h.flatten(1),
    "type_as": lambda _, h: h.type_as(h),
    "atleast_2d": lambda _, h: torch.atleast_2d(h),
    "a module in place": lambda module, h: module.limit(h),
}
DROPOUTS: dict[str, Callable[[Any, Tensor], Tensor]] = {
    "dropout": lambda module, h: module.dropout(h),
    "of a view": lambda module, h: module.dropout(h.view(-1, 2, 2)).view(-1, 4),
    "dropout1d": lambda module, h: functional.dropout1d(h[:, :, None], training=module.training)[:, :, 0],
}


def _write_into_the_result(same: Callable[[Any, Tensor], Tensor]) -> Callable[[Any, Tensor], Tensor]:
    def function(module: Any, h: Tensor) -> Tensor:
        same(module, h).clamp_(max=_MOST)
        return h

    return function


def _write_into_what_it_read(same: Callable[[Any, Tensor], Tensor]) -> Callable[[Any, Tensor], Tensor]:
    def function(module: Any, h: Tensor) -> Tensor:
        result = same(module, h)
        h.clamp_(max=_MOST)
        return result

    return function


WRITES = {"the result": _write_into_the_result, "what it read": _write_into_what_it_read}


def _check(function: Callable[[Any, Tensor], Tensor]) -> None:
    torch.manual_seed(0)
    module = Written(function).eval()
    rows = np.random.default_rng(0).standard_normal((50, 5)).astype(np.float32) * 300
    with torch.no_grad():
        expected = module(torch.from_numpy(rows)).numpy()
    np.testing.assert_allclose(forward(compile_plan(import_model(module).spec), rows), expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("name", MAY_RETURN_THEIR_INPUT)
def test_a_write_reaches_the_tensor_that_an_operation_returned_as_it_was(name: str, write: str) -> None:
    _check(WRITES[write](MAY_RETURN_THEIR_INPUT[name]))


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("name", DROPOUTS)
def test_a_write_that_a_dropout_hides_is_rejected_and_the_copy_that_the_error_names_is_imported(
    name: str, write: str
) -> None:
    with pytest.raises(UnsupportedModelError, match=r"dropout may return as it is.*\(x\.clone\(\)\)`"):
        import_model(Written(WRITES[write](DROPOUTS[name])))
    _check(WRITES[write](lambda module, h: DROPOUTS[name](module, h.clone())))


def test_modules_in_place_after_a_sum_or_a_dropout() -> None:
    _check(lambda module, h: module.limit(h * 2 + h))
    _check(lambda module, h: module.limit(module.dropout(h)))
    _check(lambda module, h: module.limit(h.view(-1, 2, 2)).view(-1, 4) + h)


def test_a_write_that_torch_export_does_not_follow_is_rejected() -> None:
    with pytest.raises(UnsupportedModelError, match=r"writes into a tensor, and torch\.export cannot"):
        import_model(Written(_write_into_the_result(lambda _, h: h.data)))
