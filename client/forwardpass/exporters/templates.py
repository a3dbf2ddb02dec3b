"""The fixed parts of an exported Python file."""

from typing import Final

HEAD: Final = '''{first}: `predict(rows)` needs nothing else.

Run as a program, it computes the examples that the network was registered with. CONTENT is the network itself, digest
{digest};
`forwardpass register NAME FILE` reads it out of this file, without running anything.
"""

import base64
import json
import math
import sys

import numpy as np

'''

DECODING: Final = '''

def read_content(content):
    """Return the spec and the arrays of each layer (https://huggingface.co/docs/safetensors)."""
    data = base64.b64decode(content)
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    spec = json.loads(header.pop("__metadata__")["spec"])
    arrays = {layer["name"]: {} for layer in spec["layers"]}
    for name, tensor in header.items():
        layer, _, key = name.rpartition(".")
        begin, end = tensor["data_offsets"]
        numbers = np.frombuffer(data[start + begin : start + end], DTYPE.newbyteorder("<"))
        arrays[layer][key] = numbers.reshape(tensor["shape"]).astype(DTYPE)
    return spec, arrays

'''

ROWS: Final = '''

def read_rows(rows):
    """Return rows as an array `(rows, inputs)`: from an array, a list, or dicts with a number for each input."""
    if isinstance(rows, dict):
        rows = [rows]
    if isinstance(rows, (list, tuple)) and rows and isinstance(rows[0], dict):
        rows = [[row[name] for name in INPUTS] for row in rows]
    with np.errstate(all="ignore"):
        array = np.atleast_2d(np.asarray(rows, dtype=np.float64)).astype(DTYPE)
    if array.ndim != 2 or array.shape[1] != len(INPUTS):
        raise ValueError(f"the rows have the shape {array.shape}; must be (rows, {len(INPUTS)})")
    if not NON_FINITE and not np.isfinite(array).all():
        raise ValueError("the rows have NaN or infinity, which the network does not accept")
    return array

'''

TYPED_ROWS: Final = '''

def read_rows(rows):
    """Return rows as an array `(rows, inputs)`: from an array, a list, or dicts with a value for each input.

    A category is one of its categories, or the index of one; None is what is missing.
    """
    if isinstance(rows, np.ndarray):
        rows = np.atleast_2d(rows).tolist()
    if isinstance(rows, dict) or not isinstance(rows[0], (list, tuple, dict)):
        rows = [rows]
    rows = [[row.get(name) for name in INPUTS] if isinstance(row, dict) else row for row in rows]
    if any(len(row) != len(INPUTS) for row in rows):
        raise ValueError(f"a row has another number of values than {len(INPUTS)}")
    return np.array([[read_value(*pair) for pair in zip(row, SPEC["inputs"])] for row in rows]).astype(DTYPE)


def read_value(value, feature):
    """Return a value of a feature as the number that the network reads."""
    name, kind, categories = feature["name"], feature.get("kind", "number"), feature.get("categories", [])
    if value is None or value != value:
        return fill_value(feature, "missing", f"{name} is missing")
    if kind == "category":
        if isinstance(value, str):
            known = value in categories
            unknown = f"{name}: no category {value!r}"
            return float(categories.index(value)) if known else fill_value(feature, "unknown", unknown)
        known = value in range(len(categories))
        return float(value) if known else fill_value(feature, "unknown", f"{name}: no category has the index {value}")
    number = DTYPE.type(value)
    if kind == "boolean" and number not in (0, 1):
        raise ValueError(f"{name} is {value}; it must be true or false")
    if not NON_FINITE and not np.isfinite(number):
        raise ValueError(f"{name} is {value}, which the network does not accept")
    low, high = (end if end is None else DTYPE.type(end) for end in feature.get("range", [None, None]))
    beyond = (low is not None and number < low) or (high is not None and number > high)
    if beyond and feature.get("out_of_range") == "refuse":
        raise ValueError(f"{name} is {value}, which is out of its range")
    return float(number)


def fill_value(feature, key, problem):
    """Return the fill value of a value that is missing or unknown, or raise the problem."""
    word = feature.get(key, "refuse")
    if word == "nan" or (word == "refuse" and key == "missing" and NON_FINITE and "kind" not in feature):
        return math.nan
    if word == "refuse":
        raise ValueError(problem)
    return float(feature["categories"].index(word) if isinstance(word, str) else word)

'''

PREDICT: Final = '''
def activate(function, z):
    """Return an activation function of pre-activations, in their dtype."""
    return np.broadcast_to(np.asarray(function(z)), z.shape).astype(z.dtype)


def predict(rows):
    """Return the outputs, `(rows, outputs)`, for rows `(rows, inputs)` or one row."""
    rows = read_rows(rows)
    value = {}
    with np.errstate(all="ignore"):
'''

LABELS: Final = '''

def labels(rows):
    """Return the most probable class of each row."""
    outputs = predict(rows)
    if outputs.shape[1] == 1:
        return [CLASSES[int(p >= THRESHOLD)] for p in outputs[:, 0]]
    return [CLASSES[column] for column in outputs.argmax(axis=1)]
'''

TEST: Final = '''

def check_examples():
    """Compute the network's examples; return how many do not hold, and say which."""
    failed = 0
    for number, example in enumerate(SPEC.get("examples", [])):
        expected = np.array(example["outputs"])
        allowed = example.get("tolerance", TOLERANCE * np.maximum(1.0, np.abs(expected)))
        actual = predict(example["inputs"])[0]
        if not (np.abs(actual - expected) <= allowed).all():
            failed += 1
            print(f"example {number}: expected {expected.tolist()}, computed {actual.tolist()}")
    return failed


if __name__ == "__main__":
    wrong = check_examples()
    print(f"{len(SPEC.get('examples', []))} examples, {wrong} of which do not hold")
    sys.exit(1 if wrong else 0)
'''
