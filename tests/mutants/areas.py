"""The code that is mutated, and the tests that must notice it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

_SPEC: Final = "client/forwardpass/spec"
_SERVER: Final = "server/forwardpass_server"
_TESTS: Final = "tests/server"


@dataclass(frozen=True, kw_only=True, slots=True)
class Area:
    """Some modules and their tests.

    Attributes:
        modules: Patterns of paths.
        tests: What pytest runs: paths and options.
    """

    modules: tuple[str, ...]
    tests: tuple[str, ...]


AREAS: Final[Mapping[str, Area]] = {
    "validator": Area(
        modules=(f"{_SPEC}/checks/*.py", f"{_SPEC}/fields/*.py", f"{_SPEC}/names.py", f"{_SPEC}/parsing.py"),
        tests=("tests/client/spec",),
    ),
    "admission": Area(
        modules=tuple(
            f"{_SERVER}/serving/{name}.py" for name in ("admission", "fair_queue", "shedding", "work_limits")
        ),
        tests=tuple(
            f"{_TESTS}/serving/test_{name}.py"
            for name in ("admission", "fair_queue", "shedding", "work_limits", "stages", "dispatcher", "explanations")
        ),
    ),
    "authorization": Area(
        modules=tuple(f"{_SERVER}/rpc/{name}.py" for name in ("auth", "call_quota", "tokens_file")),
        tests=(f"{_TESTS}/rpc/test_tokens.py", f"{_TESTS}/rpc/test_client_certificates.py"),
    ),
    "registry": Area(
        modules=(f"{_SERVER}/registry/*.py",),
        tests=(
            f"{_TESTS}/registry",
            # Processes, permissions and PostgreSQL: slow, and about the storage.
            *(f"--ignore={_TESTS}/registry/test_{name}.py" for name in ("copy", "histories", "open", "unavailable")),
            *("-k", "not postgres"),
        ),
    ),
}
