"""Triton's own Python client, in an environment and a process of its own, against both engines."""

from collections.abc import Callable


def test_tritonclient(run_inside: Callable[..., None]) -> None:
    run_inside("triton", "grpc_calls.py", "grpc_aio.py", "grpc_streams.py", "http_calls.py", "http_aio.py")
