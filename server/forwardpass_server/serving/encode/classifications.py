"""The classification of each row: the class that is chosen, and on request the most probable ones."""

from itertools import compress
from typing import TYPE_CHECKING, Final

import numpy as np
from forwardpass.v1.prediction_service_pb2 import Classification, ClassProbability

if TYPE_CHECKING:
    from forwardpass.tensors import Array

    from forwardpass_server.registry import LoadedVersion

_AROUND: Final = 16
"""The bytes of a class in a response besides its label: a probability, and the tags and lengths of the fields."""

_HALF: Final = 0.5
"""The threshold of a network that has none of its own."""


def classify(loaded: "LoadedVersion", outputs: "Array", top: int = 0) -> list[Classification]:
    """Name the class of each row.

    With two classes and a single output, that output is the probability of the second class, which is chosen from
    its threshold on. Of several outputs the largest is chosen, of equal ones the first; where each has a threshold,
    all classes that reach theirs are listed too.

    Args:
        loaded: The network; without classes, there is nothing to name.
        outputs: `(rows, outputs)`.
        top: How many of the most probable classes are listed of each row; of equal ones, the first.
    """
    if not loaded.classes:
        return []
    of_two = outputs.shape[1] == 1
    found = _of_two(loaded, outputs) if of_two else _of_many(loaded, outputs)
    if top:
        probabilities = np.concatenate([1 - outputs, outputs], axis=1) if of_two else outputs
        places = np.argsort(-probabilities, axis=1, kind="stable")[:, :top]
        for classification, row, best in zip(found, probabilities.tolist(), places.tolist(), strict=True):
            classification.top.extend(
                [ClassProbability(label=loaded.classes[place], probability=row[place]) for place in best]
            )
    return found


def row_bytes(loaded: "LoadedVersion", top: int) -> int:
    """Return the most bytes that a row's classes take in a response; 0 if there are only one or two of them."""
    several = loaded.thresholds is not None and loaded.plan.outputs > 1
    if not top and not several:
        return 0
    sizes = [len(label.encode()) + _AROUND for label in loaded.classes]
    return top * max(sizes) + several * sum(sizes)


def _of_two(loaded: "LoadedVersion", outputs: "Array") -> list[Classification]:
    classes = loaded.classes
    chosen = (outputs[:, 0] >= (_HALF if loaded.thresholds is None else loaded.thresholds[0])).tolist()
    return [
        Classification(label=classes[second], probability=p if second else 1.0 - p)
        for second, p in zip(chosen, outputs[:, 0].tolist(), strict=True)
    ]


def _of_many(loaded: "LoadedVersion", outputs: "Array") -> list[Classification]:
    best = outputs.argmax(axis=1)
    found = [
        Classification(label=loaded.classes[column], probability=float(row[column]))
        for row, column in zip(outputs, best.tolist(), strict=True)
    ]
    if loaded.thresholds is not None:
        reached = (outputs >= loaded.thresholds).tolist()
        for classification, row in zip(found, reached, strict=True):
            classification.chosen.extend(compress(loaded.classes, row))
    return found
