"""The names that a spec may use are the functions that the core has, and the docs list them."""

from pathlib import Path

from forwardpass.spec.activations import ACTIVATIONS as NAMES
from forwardpass_server.core import ACTIVATIONS as FUNCTIONS

DOCS = Path(__file__).parents[1] / "docs" / "activations.md"


def test_spec_and_core_agree() -> None:
    spoken = {name: {key: parameter.default for key, parameter in known.items()} for name, known in NAMES.items()}
    computed = {name: dict(known.defaults) for name, known in FUNCTIONS.items()}
    assert spoken == computed


def test_the_documented_table_is_the_core() -> None:
    rows = [line for line in DOCS.read_text().splitlines() if line.startswith("| `")]
    assert rows == [documented(name) for name in FUNCTIONS]


def documented(name: str) -> str:
    """The row of docs/activations.md for a function."""
    known = FUNCTIONS[name]
    formula = (known.function.__doc__ or "").split("\n")[0].removeprefix("Return ").replace("|", "\\|")
    parameters = ", ".join(f"`{key}` = {value:g}" for key, value in known.defaults.items())
    return f"| `{name}` | {formula} | {parameters} |"
