"""What is counted as long takes long, whatever kind of layer it is: within a factor, and never far too little."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from forwardpass_server.core import ACTIVATIONS, Dense, Elementwise, Operation, Plan, costs, forward
from forwardpass_server.core.elementwise import FUNCTIONS
from forwardpass_server.core.operations import COSTS, OPERATIONS

WIDTH = 2_048
ONES = np.ones(WIDTH)
OF_KIND: dict[str, dict[str, Any]] = {
    "scale_shift": {"scale": ONES, "shift": ONES},
    "batch_norm": {"mean": ONES, "variance": ONES, "gamma": ONES, "beta": ONES, "epsilon": 1e-5},
    "layer_norm": {"gamma": ONES, "beta": ONES, "epsilon": 1e-5},
    "embedding": {"table": np.ones((100, 8))},
    "one_hot": {"categories": ONES, "indices": np.arange(float(WIDTH))},
    "bucketize": {"boundaries": np.arange(64.0)},
    "lookup": {"keys": np.arange(64.0), "values": np.arange(64.0)},
    "clip": {"low": -ONES, "high": ONES},
    "impute": {"values": ONES},
    "dropout": {"rate": 0.5},
    "take": {"indices": np.arange(float(WIDTH))},
    "pool": {"windows": np.arange(float(WIDTH)).reshape(-1, 4), "reduce": "max"},
    "matmul": {"groups": 8, "rows": 8, "inner": 16, "columns": 8},
    "elementwise": {"formula": Elementwise(("*", "x", ("tanh", "y")), np.dtype(np.float64), ("x", "y")), "parts": 2},
    "group_softmax": {"groups": 64},
    "group_sparsemax": {"groups": 64},
    "conv": {
        "weights": np.ones((8, 16 * 9)),
        "bias": np.ones(8),
        "input_shape": (16, 16, 8),
        "kernel_shape": (3, 3),
        "strides": (1, 1),
        "pads": (1, 1, 1, 1),
        "dilations": (1, 1),
        "group": 1,
    },
    "recurrent": {
        "weights": np.ones((4 * 32, 64)),
        "recurrent_weights": np.ones((4 * 32, 32)),
        "bias": np.ones(4 * 32),
        "recurrent_bias": np.ones(4 * 32),
        "cell": "lstm",
        "steps": 32,
    },
}


def test_every_name_has_a_cost() -> None:
    assert COSTS.keys() == OPERATIONS.keys() == OF_KIND.keys()
    assert costs.ACTIVATIONS.keys() <= ACTIVATIONS.keys()
    assert costs.EXPRESSION.keys() <= FUNCTIONS.keys()


def test_an_expression_costs_the_sum_of_its_functions() -> None:
    tree = ("+", ("sin", "x"), ("**", "x", 0.3))
    own = Elementwise(tree, np.dtype(np.float64))
    assert (own.flops, own.steps) == (costs.EXPRESSION["+"] + costs.EXPRESSION["sin"] + costs.EXPRESSION["**"], 3)
    layer = Operation(kind="dropout", arguments={"rate": 0.5}, name="a", inputs=100, outputs=100, expression=own)
    assert layer.flops == 100 * (own.flops + COSTS["dropout"][0])


def test_many_calls_of_numpy_are_counted_however_few_numbers_they_compute() -> None:
    def plan(layers: int) -> Plan:
        one = [Dense(name=f"l{index}", weights=np.ones((1, 1)), bias=np.zeros(1)) for index in range(layers)]
        return Plan(dtype=np.dtype(np.float64), layers=tuple(one))

    assert plan(3).flops_per_call == 0
    assert plan(200).flops_per_call == costs.STEP * 200 * 4


def seconds(compute: Callable[[], object]) -> float:
    def once() -> float:
        began = time.process_time()
        compute()
        return time.process_time() - began

    return min(once() for _ in range(5))


@pytest.mark.prove
@pytest.mark.parametrize("kind", OF_KIND)
def test_the_cost_of_a_kind_is_its_time(kind: str) -> None:
    arguments = OF_KIND[kind]
    values = np.random.default_rng(0).normal(size=(256, WIDTH))
    outputs = OPERATIONS[kind](**arguments)(values[:1]).shape[1]
    layer = Operation(kind=kind, arguments=arguments, name=kind, inputs=WIDTH, outputs=outputs)
    plan = Plan(dtype=np.dtype(np.float64), layers=(layer,))
    nanoseconds = 1e9 * seconds(lambda: forward(plan, values)) / len(values)
    print(f"{kind}: {plan.flops_per_row} counted, {20 * nanoseconds:.0f} measured")
    assert 20 * nanoseconds < 20 * plan.flops_per_row
