"""KServe's own Python clients, in an environment and a process of their own, against both engines; its manifests."""

from collections.abc import Callable


def test_kserve(run_inside: Callable[..., None]) -> None:
    run_inside("kserve", "both_protocols.py", "manifests.py")
