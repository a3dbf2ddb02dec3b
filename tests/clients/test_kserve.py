"""KServe's own Python clients, in an environment and a process of their own; and its manifests."""

from collections.abc import Callable

import pytest


@pytest.mark.parametrize("engine", ["native", pytest.param("grpcio", marks=pytest.mark.prove)], indirect=True)
def test_kserve(run_inside: Callable[..., None]) -> None:
    run_inside("kserve", "both_protocols.py", "manifests.py")
