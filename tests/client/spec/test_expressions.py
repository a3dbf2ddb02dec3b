"""Expressions as activation functions: their canonical text, and the faults with their columns."""

import json
import time
import tracemalloc
from typing import Any

import pytest
from forwardpass import spec
from forwardpass.errors import InvalidNetworkError
from forwardpass.spec import expressions
from forwardpass.v1 import network_pb2
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import network_schema
from tests.support.random_expressions import texts
from tests.support.spec_forms import assert_same_in_every_form


def document(activation: Any, dtype: str = "float64") -> dict[str, Any]:
    layers = [{"weights": [[1]], "activation": activation}]
    return {"format": spec.FORMAT, "dtype": dtype, "inputs": 1, "layers": layers}


def own(text: Any, dtype: str = "float64", **parameters: Any) -> dict[str, Any]:
    said = {"expression": text, "parameters": parameters} if parameters else {"expression": text}
    return document(said, dtype)


def faults(change: dict[str, Any]) -> dict[str, str]:
    with pytest.raises(InvalidNetworkError) as refused:
        spec.parse(change)
    return {fault.path.removeprefix("spec.layers[0].activation"): fault.message for fault in refused.value.faults}


CANONICAL = {
    "x*sigmoid( 1.7020 *x )": "x * sigmoid(1.702 * x)",
    "((x))+1.0": "x + 1",
    "x - (1 - x)": "x - (1 - x)",
    "(x - 1) - x": "x - 1 - x",
    "-(x ** 2)": "-x ** 2",
    "(-x) ** 2": "(-x) ** 2",
    "x ** (-2)": "x ** -2",
    "(x ** 2) ** 3": "(x ** 2) ** 3",
    "x ** (2 ** 3)": "x ** 2 ** 3",
    "x / (2 * 3) / 4": "x / (2 * 3) / 4",
    "--x": "--x",
    "1E3 * x + .5": "1000 * x + 0.5",
    "x + 1e22": "x + 1e+22",
    "where(not(x>0)and(x<1 or x>2), x, 0)": "where(not x > 0 and (x < 1 or x > 2), x, 0)",
    "\n max(x,\t0)\r\n": "max(x, 0)",
}


@pytest.mark.parametrize(("text", "canonical"), CANONICAL.items())
def test_the_canonical_text(text: str, canonical: str) -> None:
    assert expressions.show(expressions.parse(text)) == canonical


@given(text=texts())
@settings(max_examples=300)
def test_the_canonical_text_is_the_same_tree(text: str) -> None:
    tree = expressions.parse(text)
    canonical = expressions.show(tree)
    assert expressions.parse(canonical) == tree
    assert expressions.show(expressions.parse(canonical)) == canonical


def test_spaces_and_needless_parentheses_are_not_in_the_digest() -> None:
    digests = {
        spec.digest(spec.parse(own(text, alpha=0.5)))
        for text in ("max(x,alpha*x)", " max( x, alpha * x )", "max((x), ((alpha) * x))")
    }
    assert digests == {"a4dd506321d7ee8b92cb12525b82e930119ac3e85947e71e8ec82f0deb6cbce5"}
    assert spec.digest(spec.parse(own("max(x, alpha * x)", alpha=0.25))) not in digests


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_form_has_the_expression(dtype: str) -> None:
    network = spec.parse(own("where(x>0, x, alpha*expm1(x))", dtype, alpha=0.1))
    (layer,) = network.layers
    assert str(layer.activation) == "where(x > 0, x, alpha * expm1(x)) with alpha=0.1"
    assert_same_in_every_form(network)
    network_schema.validate(json.loads(spec.to_json(network)))


REFUSED: dict[str, tuple[dict[str, Any], str, str]] = {
    "unknown function": (
        own("x * sigmod(x)"),
        ".expression",
        'at column 5: "sigmod" is no function; did you mean "sig',
    ),
    "unknown name": (own("x * alhpa", alpha=1.0), ".expression", 'did you mean "alpha"?'),
    "no value": (own("x * alpha"), ".expression", "give it a value in parameters"),
    "unread parameter": (own("x", alpha=1.0), ".parameters.alpha", "does not read it"),
    "parameter called x": (own("x", x=1.0), ".parameters.x", "is a word of the grammar"),
    "parameter called exp": (own("x", exp=1.0), ".parameters.exp", "is a word of the grammar"),
    "parameter is a text": (own("x * a", a="1"), ".parameters.a", '"1"'),
    "parameter is NaN": (own("x * a", a=float("nan")), ".parameters.a", "NaN"),
    "parameter beyond float32": (own("x * a", "float32", a=1e300), ".parameters.a", "float32"),
    "odd parameter": (document({"expression": "x", "parameters": {"\u03b1": 1.0}}), ".parameters[", "not a name"),
    "many parameters": (
        document({"expression": "x", "parameters": {f"a{i}": 1.0 for i in range(17)}}),
        ".parameters",
        "at most 16",
    ),
    "parameters in a list": (document({"expression": "x", "parameters": [1]}), ".parameters", "object"),
    "name too": (document({"expression": "x", "name": "relu"}), ".name", "does not go with an expression"),
    "parameters beside": (document({"expression": "x * a", "a": 1.0}), ".a", "does not go with an expression"),
    "as a name": (document("x * sigmoid(x)"), "", '{"expression": ...}'),
    "no text": (own(3), ".expression", "is 3; must be a text"),
    "empty": (own(""), ".expression", "but the text ends"),
    "no x": (own("1 + 2"), ".expression", "does not read x"),
    "condition": (own("x > 0"), ".expression", "where(condition, 1, 0)"),
    "condition as a number": (own("x * (x > 0)"), ".expression", "at column 8: is a condition"),
    "number as a condition": (own("where(x, 1, 0)"), ".expression", "at column 7: is a number"),
    "chained": (own("where(0 < x < 1, x, 0)"), ".expression", "a < b and b < c"),
    "operands": (own("max(x)"), ".expression", "takes 2 operands, here are 1"),
    "division by zero": (own("1 + x / 0.0"), ".expression", 'at column 7: divides by "0"'),
    "division by a parameter that is 1": (own("x / (a - 1)", a=1.0), ".expression", 'divides by "a - 1"'),
    "division by what float32 rounds to 0": (own("x / 1e-60", "float32"), ".expression", "0 in float32"),
    "log of a negative number": (own("x + log(-2)"), ".expression", 'at column 5: "log(-2)" has no finite value'),
    "root of a negative parameter": (own("x + (0 - a) ** 0.5", a=1.0), ".expression", "has no finite value"),
    "beyond float32": (own("x + 1e39", "float32"), ".expression", "float32"),
    "power as in mathematics": (
        own("x^2"),
        ".expression",
        'at column 2: "^" (U+005E) is not of the grammar; did you m',
    ),
    "function without parentheses": (own("exp x"), ".expression", '"exp" is a function'),
    "missing operator": (own("2x"), ".expression", 'at column 2: "x" is too much'),
    "missing parenthesis": (own("exp(x"), ".expression", 'at column 6: ")" is needed, but the text ends'),
}


@pytest.mark.parametrize(("change", "path", "words"), REFUSED.values(), ids=REFUSED)
def test_a_fault_names_its_column(change: dict[str, Any], path: str, words: str) -> None:
    found = faults(change)
    assert any(place.startswith(path) and words in message for place, message in found.items()), found


HOSTILE = {
    "parentheses": "(" * 100_000 + "x" + ")" * 100_000,
    "parentheses within the length": "(" * 499 + "x" + ")" * 499,
    "minus signs": "-" * 999 + "x",
    "powers": "x" + "**x" * 300,
    "calls": "exp(" * 200 + "x" + ")" * 200,
    "tower": "9**9**9**9 * x",
    "product beyond float64": "*".join(["1e300"] * 90) + "*x",
    "digits": "9" * 999 + "*x",
    "digits without end": "9" * 10_000_000,
    "exponent": "x*1e999999999999",
    "long sum": "x" + "+x" * 499,
    "long text": "x + " * 5_000_000 + "x",
    "spaces": " " * 10_000_000 + "x",
    "growing when printed": "x" + "+1e15" * 180,
    "Cyrillic x": "\u0445 + 1",
    "full-width": "\uff58 + \uff11",
    "mathematical x": "\U0001d465 * 2",
    "minus sign": "x \u2212 1",
    "right to left": "x\u202e + 1",
    "NUL": "x\0",
    "surrogate": "x\ud800",
    "other digits": "\u0661 * x",
    "attribute": "x.__class__.__mro__",
    "attribute of a number": "(1).real * x",
    "index": "x[0]",
    "unknown call": "__import__('os').system('true')",
    "name of a builtin": "eval(x)",
    "call of a call": "exp(x)(x)",
    "lambda": "(lambda: x)()",
    "f-string": "f'{x}'",
    "text": "'x' * 10",
    "walrus": "(x := 3)",
    "keyword": "clip(x, lo=1, hi=2)",
    "star": "max(*x)",
    "comprehension": "[x for x in (1, 2)]",
    "conditional": "x if x > 0 else 0",
    "statement": "x; x",
    "comment": "x # y",
    "line joined": "x \\\n + 1",
    "format": "%s" * 400,
    "imaginary": "x * 1j",
    "hexadecimal": "x * 0x10",
    "underscores": "x * 1_000",
    "not a number": "x * nan",
    "infinite": "x * inf",
    "floor": "x // 2",
    "shift": "x << 1000",
    "at": "x @ x",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_texts_are_refused_quickly(text: str) -> None:
    change = own(text)
    spent = []
    for _ in range(3):
        start = time.process_time()
        found = faults(change)
        spent.append(time.process_time() - start)
    assert set(found) == {".expression"}
    assert len(found[".expression"]) < 1_000
    assert found[".expression"].encode()
    # They take about a millisecond; whatever else the process did at the time, it did not do it three times.
    assert min(spent) < 0.1
    tracemalloc.start()
    try:
        faults(change)
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


@given(text=st.text(max_size=40) | st.text("x0129.e+-*/<>=!() ,\nandorexplogwhere", max_size=60))
@settings(max_examples=300)
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        tree = expressions.parse(text)
    except expressions.ExpressionError as error:
        assert str(error).startswith("at column ")
    else:
        assert expressions.parse(expressions.show(tree)) == tree


def test_a_message_with_a_name_and_an_expression_is_refused() -> None:
    message = spec.to_message(spec.parse(own("x * x")))
    message.layers[0].activation.name = "relu"
    with pytest.raises(InvalidNetworkError) as refused:
        spec.from_message(message)
    assert [fault.path for fault in refused.value.faults] == ["spec.layers[0].activation.name"]
    message.layers[0].activation.CopyFrom(network_pb2.Activation(expression="a * x", parameters={"b": 1.0}))
    with pytest.raises(InvalidNetworkError, match="column 1"):
        spec.from_message(message)
