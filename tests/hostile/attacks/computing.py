"""Arithmetic that takes long, behind requests that are small."""

import contextlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from forwardpass import Client
from forwardpass.errors import ForwardpassError

from tests.hostile.attacks.target import Target, rounds


def own_functions(target: Target) -> None:
    """Compute rows of a wide network of functions of 120 parts, with deadlines that are often missed."""
    function = {"expression": " + ".join(["exp(-abs(x) - 1)"] * 20)}
    layers = [{"weights": np.ones((20_000, 1)), "activation": function}, {"weights": np.ones((1, 20_000))}]
    document = {"format": "forwardpass.network/1", "inputs": 1, "layers": layers}
    target.client.register("functions", document, timeout=120)
    with Client(target.address, timeout=2) as other:
        for _ in rounds():
            with contextlib.suppress(ForwardpassError):
                other.predict("functions", np.ones((64, 1)))


def registrations(target: Target) -> None:
    """Let four callers register networks whose sixty examples take seconds, again and again."""
    function = {"expression": " + ".join(["tanh(sin(x)) ** 0.3"] * 24)}
    layers: list[object] = [{"weights": np.full((20_000, 1), 0.5)}]
    layers += [{"kind": "dropout", "rate": 0.5, "activation": function}] * 20
    layers += [{"weights": np.ones((1, 20_000))}]
    examples = [{"inputs": [0.1 + index / 1_000], "outputs": [0], "tolerance": 1e300} for index in range(60)]
    document = {"format": "forwardpass.network/1", "inputs": 1, "layers": layers, "examples": examples}

    def register(name: str) -> None:
        with Client(target.address, timeout=3) as client:
            for _ in rounds():
                with contextlib.suppress(ForwardpassError):
                    client.register(name, document)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(register, ["one", "two", "three", "four"]))
