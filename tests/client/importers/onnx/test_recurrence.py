"""The operators RNN, GRU and LSTM beside onnxruntime, and what of them is not read."""

from typing import Any

import numpy as np
import pytest
from forwardpass.importers import UnsupportedModelError, import_model
from forwardpass_server.registry.compile import check_examples, compile_plan

from tests.support.onnx_models import constant, model, node, tensor

GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
STEPS, FEATURES, UNITS = 4, 3, 2


def recurrent(op: str, names: str = "w r b", outputs: str = "y", directions: int = 1, **attributes: Any) -> Any:
    """A model of one operator over four steps of three values, whose rows are its axis of batches."""
    random = np.random.default_rng(GATES[op])
    gates = GATES[op] * UNITS
    shapes = {
        "w": (directions, gates, FEATURES),
        "r": (directions, gates, UNITS),
        "b": (directions, 2 * gates),
        "h": (directions, 1, UNITS),
        "c": (directions, 1, UNITS),
        "p": (directions, 3 * UNITS),
    }
    known = [
        constant(name, random.standard_normal(shapes[name]).astype(np.float32))
        for name in names.split()
        if name in shapes
    ]
    known += [constant("lengths", np.array([STEPS, STEPS], np.int32)), constant("short", np.array([2, 4], np.int32))]
    nodes = [
        node("Reshape", "x shape", "cut"),
        node("Transpose", "cut", "steps", perm=[1, 0, 2]),
        node(op, f"steps {names}", outputs, hidden_size=UNITS, **attributes),
    ]
    for part in (nodes[-1].input, nodes[-1].output):
        part[:] = ["" if name == "-" else name for name in part]
    shown = outputs.rpartition(" ")[2]
    rows = {"y": 2, "last": 1, "cell": 1}[shown]
    axes = 4 if shown == "y" else 3
    nodes.append(node("Transpose", shown, "out", perm=[rows, *(axis for axis in range(axes) if axis != rows)]))
    return model(
        nodes,
        *known,
        constant("shape", np.array([-1, STEPS, FEATURES])),
        inputs=[tensor("x", "rows", STEPS * FEATURES)],
        outputs=[tensor("out")],
    )


READ: dict[str, Any] = {
    "rnn": recurrent("RNN"),
    "rnn without bias": recurrent("RNN", "w r", activations=["Relu"]),
    "gru": recurrent("GRU"),
    "gru with its reset after the product": recurrent("GRU", linear_before_reset=1, direction="reverse"),
    "lstm": recurrent("LSTM"),
    "lstm in both directions": recurrent("LSTM", directions=2, direction="bidirectional"),
    "the last states of both directions": recurrent("GRU", outputs="- last", directions=2, direction="bidirectional"),
    "the last cell state": recurrent("LSTM", outputs="y last cell"),
    "hard sigmoids": recurrent(
        "LSTM",
        activations=["HardSigmoid", "Softsign", "Softsign"],
        activation_alpha=[1 / 6, 0.0, 0.0],
        activation_beta=[0.5, 0.0, 0.0],
    ),
    "alphas and betas that skip functions without them": recurrent(
        "GRU", activations=["Sigmoid", "HardSigmoid"], activation_alpha=[1 / 6, 0.3], activation_beta=[0.5, 0.1]
    ),
    "alphas and betas of two of four functions": recurrent(
        "GRU",
        directions=2,
        direction="bidirectional",
        activations=["Tanh", "HardSigmoid", "Relu", "Affine"],
        activation_alpha=[1 / 6, 1.0],
        activation_beta=[0.5],
    ),
}


@pytest.mark.parametrize("read", READ.values(), ids=READ)
def test_steps_are_computed_as_onnxruntime_does(read: Any) -> None:
    imported = import_model(read)
    check_examples(imported.spec, compile_plan(imported.spec))
    assert [layer.kind for layer in imported.spec.layers if layer.kind not in {"take", "scale_shift"}] == [
        "recurrent"
    ] * (2 if "bidirectional" in str(read) else 1)


UNREAD: dict[str, tuple[Any, str]] = {
    "peepholes": (recurrent("LSTM", "w r b - - - p"), "has peepholes"),
    "a bound": (recurrent("LSTM", clip=3.0), "has the attribute clip"),
    "coupled gates": (recurrent("LSTM", input_forget=1), "has the attribute input_forget"),
    "sequences of several lengths": (recurrent("GRU", "w r b short"), r"of the lengths \[2, 4\]; sequences of all 4"),
    "another function": (recurrent("GRU", activations=["Elu", "Tanh"]), "has the activation 'elu' in its cell"),
    "another hard sigmoid": (
        recurrent("GRU", activations=["Sigmoid", "HardSigmoid"], activation_alpha=[0.3, 1 / 6]),
        "has the activation 'hardsigmoid' in its cell",
    ),
}


@pytest.mark.parametrize(("unread", "message"), UNREAD.values(), ids=UNREAD)
def test_what_no_cell_of_a_layer_has_is_rejected_in_words(unread: Any, message: str) -> None:
    with pytest.raises(UnsupportedModelError, match=message):
        import_model(unread)


def test_an_initial_state_may_be_computed_and_the_other_zeros() -> None:
    read = recurrent("LSTM", "w r b - state -")
    before = [
        node("Gather", "x places", "some", axis=1),
        node("Unsqueeze", "some axis", "state"),
    ]
    for place, each in enumerate(before):
        read.graph.node.insert(place, each)
    read.graph.initializer.extend([constant("places", np.array([0, 2])), constant("axis", np.array([0]))])
    imported = import_model(read)
    check_examples(imported.spec, compile_plan(imported.spec))
    assert [layer.inputs for layer in imported.spec.layers if layer.kind == "recurrent"] == [
        STEPS * FEATURES + 2 * UNITS
    ]
