"""Recurrent layers: many rows and none, layers of one network, and what their steps cost."""

from typing import Any

import numpy as np
import pytest
from forwardpass import spec
from forwardpass_server.core import Plan, forward, recurrence, trace
from forwardpass_server.registry.compile import compile_plan

CELLS = {"rnn": 1, "gru": 3, "lstm": 4}


def recurrent(rng: np.random.Generator, cell: str, features: int, units: int, **settings: Any) -> dict[str, Any]:
    gates = CELLS[cell] * units
    return {
        "kind": "recurrent",
        "cell": cell,
        "weights": rng.standard_normal((gates, features)) / features,
        "recurrent_weights": rng.standard_normal((gates, units)) / units,
        "bias": rng.standard_normal(gates),
        **settings,
    }


def plan_of(inputs: int, *layers: dict[str, Any]) -> Plan:
    return compile_plan(spec.parse({"format": spec.FORMAT, "dtype": "float32", "inputs": inputs, "layers": layers}))


@pytest.mark.parametrize("cell", CELLS)
def test_steps_computed_one_by_one_have_the_same_bits(monkeypatch: pytest.MonkeyPatch, cell: str) -> None:
    rng = np.random.default_rng(1)
    plan = plan_of(12, recurrent(rng, cell, 3, 5, steps=4))
    rows = rng.standard_normal((21, 12)).astype(np.float32)
    expected = forward(plan, rows)
    monkeypatch.setattr(recurrence, "MAX_SHARED_NUMBERS", 0)
    assert np.array_equal(forward(plan, rows), expected)
    assert forward(plan, rows[:0]).shape == (0, 20)


def test_a_network_of_recurrent_and_dense_layers_has_the_same_bits_in_every_batch() -> None:
    rng = np.random.default_rng(2)
    plan = plan_of(
        24,
        recurrent(rng, "lstm", 4, 8, steps=6),
        recurrent(rng, "gru", 8, 5, steps=6),
        {"name": "last", "kind": "take", "indices": list(range(25, 30))},
        {"name": "output", "weights": rng.standard_normal((3, 5)), "activation": "softmax"},
    )
    assert plan.leading == 3  # a lone row is not padded before the dense layer
    rows = rng.standard_normal((70, 24)).astype(np.float32)
    together = forward(plan, rows)
    for count in (1, 2, 5, 33):
        assert np.array_equal(forward(plan, rows[:count]), together[:count])
        assert np.array_equal(trace(plan, rows[-count:]).outputs, together[-count:])


def test_a_trace_shows_the_state_after_each_step() -> None:
    running = {"kind": "recurrent", "cell": "rnn", "state_activation": "identity", "steps": 4}
    plan = plan_of(4, {**running, "weights": [[1]], "recurrent_weights": [[1]]})
    (layer,) = trace(plan, np.array([[1, 2, 3, 4]], np.float32)).layers
    assert layer.activation.tolist() == [[1, 3, 6, 10]]


def test_every_step_counts_as_calls_of_numpy() -> None:
    rng = np.random.default_rng(3)
    few, many = (plan_of(steps, recurrent(rng, "rnn", 1, 1, steps=steps)) for steps in (2, 200))
    assert few.flops_per_call == 0
    assert many.flops_per_call >= 200 * recurrence.NUMPY_CALLS * 10_000
