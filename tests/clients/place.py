"""The server that a client's tests call, and its expected responses.

The suite writes it as a file. Tests that run in a client's environment, where `forwardpass` is not, read it by
the fixture `place`.
"""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest

VARIABLE = "FORWARDPASS_PLACE"
"""The environment variable with the file's path."""

Array: TypeAlias = "np.ndarray[Any, Any]"

NUMBERS = {"FP32": np.float32, "FP64": np.float64}


@dataclass(frozen=True, kw_only=True)
class ExpectedResponses:
    """What our own client got for some rows of a network.

    Attributes:
        datatype: `FP32` or `FP64`, of all numbers.
        features: The names of the inputs.
        classes: The labels, if it is a classifier.
        inputs: Rows, as lists.
        outputs: The outputs of Predict.
        layers: The layers of Trace, by output name: `LAYER.pre_activation` and `LAYER.activation`.
        labels: The class of each row.
    """

    datatype: str
    features: list[str]
    classes: list[str]
    inputs: list[list[float]]
    outputs: list[list[float]]
    layers: dict[str, list[list[float]]]
    labels: list[str]

    def array(self, numbers: list[list[float]]) -> Array:
        """Rows as an array of the network's own numbers."""
        return np.array(numbers, dtype=NUMBERS[self.datatype])


@dataclass(frozen=True, kw_only=True)
class Place:
    """A server and its networks.

    Attributes:
        grpc: Its address.
        rest: Its address for HTTP, without a scheme.
        engine: Which of the two gRPC servers it is.
        networks: Its expected responses, by name.
        descriptors: The service's files as reflection tells them, serialized `FileDescriptorProto` in base64.
    """

    grpc: str
    rest: str
    engine: str
    networks: dict[str, ExpectedResponses]
    descriptors: list[str]

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self)))

    @classmethod
    def load(cls, path: Path) -> "Place":
        document = json.loads(path.read_text())
        networks = {name: ExpectedResponses(**responses) for name, responses in document.pop("networks").items()}
        return cls(networks=networks, **document)


def two_hidden(rows: Array) -> Array:
    """The article's network with two hidden layers, by plain numpy."""
    first = np.maximum(rows @ np.array([[2.0, 4.0], [4.0, -5.0]]).T, 0)
    second = np.maximum(first @ np.array([[-1.0, 2.0], [1.0, 2.0]]).T, 0)
    outputs: Array = second @ np.array([[2.0, 7.0]]).T
    return outputs


@pytest.fixture(scope="session")
def place() -> Place:
    return Place.load(Path(os.environ[VARIABLE]))
