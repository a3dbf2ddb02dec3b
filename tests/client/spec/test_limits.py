"""Every limit of a spec is met exactly: as much is accepted, and one more is refused where it is and by its number."""

from typing import Any

import numpy as np
import pytest
from forwardpass import spec
from forwardpass.errors import InvalidNetworkError

LAYER: dict[str, Any] = {"weights": [[1.0, 2.0]]}


def document(**changes: Any) -> dict[str, Any]:
    return {"format": spec.FORMAT, "inputs": 2, "layers": [LAYER], **changes}


def faults(given: dict[str, Any], **limits: int) -> dict[str, str]:
    """Return the messages of the faults by their paths."""
    try:
        spec.parse(given, limits=spec.Limits(**limits))
    except InvalidNetworkError as error:
        return {fault.path: fault.message for fault in error.faults}
    return {}


SQUARE: dict[str, Any] = {"weights": [[1.0, 0.0], [0.0, 1.0]]}
EXAMPLE = {"inputs": [1, 2], "outputs": [5]}
CHAIN = [{**SQUARE, "name": name} for name in "abc"]


@pytest.mark.parametrize(
    ("given", "limit", "number", "path", "says"),
    [
        (document(layers=[SQUARE] * 3), "max_layers", 3, "spec.layers", "has 3 layers"),
        (document(inputs=["a", "b"]), "max_width", 2, "spec.inputs", "has 2 inputs"),
        (document(examples=[EXAMPLE] * 3), "max_examples", 3, "spec.examples", "has 3 examples"),
        (document(tags=["a", "b", "c"]), "max_tags", 3, "spec.tags", "has 3 tags"),
        (document(metadata={"a": "1", "b": "2"}), "max_metadata", 2, "spec.metadata", "has 2 entries"),
        (document(layers=[{"weights": [[1.0, 2.0]] * 3}]), "max_width", 3, "spec.layers[0].weights", "has 3 nodes"),
        (document(inputs=3, layers=[{"weights": [[1.0] * 3]}]), "max_width", 3, "spec.inputs", "is 3"),
        (
            document(layers=[{"weights": [[1.0, 2.0]] * 3}], classes=["a", "b", "c"]),
            "max_width",
            3,
            "spec.classes",
            "has 3 classes",
        ),
        (
            document(
                inputs=[{"name": "a", "kind": "category", "categories": ["x", "y"]}], layers=[{"weights": [[1.0]]}]
            ),
            "max_categories",
            2,
            "spec.inputs",
            "has 2 categories",
        ),
        (document(description="x" * 9), "max_text_length", 9, "spec.description", "has 9 characters"),
        (
            document(layers=[*CHAIN, {"weights": [[1.0] * 6], "from": ["a", "b", "c"], "merge": "concatenate"}]),
            "max_layers",
            4,
            "spec.layers",
            "has 4 layers",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_as_much_is_accepted_and_no_more(given: dict[str, Any], limit: str, number: int, path: str, says: str) -> None:
    assert faults(given, **{limit: number}) == {}
    refused = faults(given, **{limit: number - 1})
    assert says in refused.get(path, ""), refused
    assert f"at most {number - 1}" in refused[path]


def test_two_classes_are_allowed_however_narrow_networks_have_to_be() -> None:
    narrow = document(inputs=1, layers=[{"weights": [[1.0]]}])
    assert faults({**narrow, "classes": ["no", "yes"]}, max_width=1) == {}
    assert "at most 2" in faults({**narrow, "classes": ["a", "b", "c"]}, max_width=1)["spec.classes"]


def test_a_missing_number_is_named_and_many_are_counted() -> None:
    names = [f"input-{number}" for number in range(9)]
    given = document(inputs=names, layers=[{"weights": [[1.0] * 9]}])
    for there, says in ((3, '"input-7" and 1 more'), (4, '"input-8"')):
        example = {"inputs": dict.fromkeys(names[:there], 1.0), "outputs": [1]}
        message = faults({**given, "examples": [example]})["spec.examples[0].inputs"]
        assert message.endswith(says)


def test_weights_of_a_wrong_width_say_what_the_layer_reads() -> None:
    wrong = {"weights": [[1.0] * 9]}
    merged = {**wrong, "from": ["a", "b"], "merge": "sum"}
    assert "one for each input" in faults(document(layers=[wrong]))["spec.layers[0].weights"]
    assert "one for each node" in faults(document(layers=[CHAIN[0], wrong]))["spec.layers[1].weights"]
    message = faults(document(layers=[*CHAIN[:2], merged]))["spec.layers[2].weights"]
    assert "the width of the sum of 2 layers" in message


def test_rows_may_be_arrays_and_the_odd_one_is_named() -> None:
    rows = [np.ones(2), np.ones(2), np.ones(3)]
    assert faults(document(layers=[{"weights": rows}])) == {
        "spec.layers[0].weights[2]": "has 3 weights; most rows have 2, and all need as many"
    }
    assert faults(document(layers=[{"weights": [np.ones(2), [1, 2]]}])) == {}
    assert "must have two axes" in faults(document(layers=[{"weights": np.ones(2)}]))["spec.layers[0].weights"]
    assert "must have one axis" in faults(document(layers=[{**LAYER, "bias": np.ones((1, 1))}]))["spec.layers[0].bias"]


def ones(name: str, nodes: int, reads: int, *sources: str) -> dict[str, Any]:
    layer = {"name": name, "weights": np.ones((nodes, reads)).tolist(), "from": [*sources]}
    return layer | ({"merge": "concatenate"} if len(sources) > 1 else {})


@pytest.mark.parametrize(
    ("layers", "outputs", "held"),
    [
        # The wider of what a layer reads and writes.
        ([ones("a", 5, 2, "inputs"), ones("b", 3, 5, "a")], None, [5, 5]),
        # `a` waits for `c`, where both that it reads are held beside their concatenation.
        # `d` finds neither.
        (
            [ones("a", 5, 2, "inputs"), ones("b", 4, 5, "a"), ones("c", 2, 9, "a", "b"), ones("d", 12, 2, "c")],
            None,
            [5, 10, 18, 12],
        ),
        # `a` is forgotten after `b`, which was the last to read it.
        (
            [ones("a", 5, 2, "inputs"), ones("b", 2, 5, "a"), ones("c", 1, 2, "b"), ones("d", 1, 3, "b", "c")],
            None,
            [5, 5, 4, 6],
        ),
        # Inputs that a later layer reads wait too.
        ([ones("a", 5, 2, "inputs"), ones("b", 1, 7, "inputs", "a")], None, [7, 14]),
        # An output stays until the end.
        ([ones("a", 5, 2, "inputs"), ones("b", 1, 5, "a"), ones("c", 1, 1, "b")], ["a", "c"], [5, 10, 6]),
    ],
    ids=["chain", "skip", "forgotten", "inputs", "outputs"],
)
def test_values_that_wait_for_a_later_layer_count(
    layers: list[dict[str, Any]], outputs: list[str] | None, held: list[int]
) -> None:
    given = document(layers=layers, **({} if outputs is None else {"output_layers": outputs}))
    widest = max(max(np.shape(layer["weights"])) for layer in layers)
    for most in range(widest, max(held) + 1):
        beyond = next((index for index, number in enumerate(held) if number > most), None)
        found = faults(given, max_held=most, max_width=widest)
        if beyond is None:
            assert not found
        else:
            what = "are allowed; keep fewer or narrower layers for later ones"
            message = f"{held[beyond]} values of each row are held at once; at most {most} {what}"
            assert found == {f"spec.layers[{beyond}]": message}
