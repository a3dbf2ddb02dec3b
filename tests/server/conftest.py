from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from forwardpass import spec
from forwardpass_server.registry import Registry, SqlStore

from tests.support.memory_folder import memory_folder


@pytest.fixture(scope="session")
def slow_database() -> Iterator[Path]:
    """A database with the network `slow`: 100,000 rows of its 10 inputs are 360 GFLOP, some ten seconds of a core."""
    layers = [np.ones((60_000, 10)), np.ones((20, 60_000)), np.ones((1, 20))]
    with memory_folder() as folder:
        path = folder / "forwardpass.db"
        with SqlStore(f"sqlite:///{path}") as store:
            registry = Registry.open(store)
            document = {"format": spec.FORMAT, "inputs": 10, "layers": [{"weights": weights} for weights in layers]}
            registry.register("slow", spec.parse(document))
            registry.close()
        yield path
