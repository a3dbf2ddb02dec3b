"""What callers usually pass type-checks under `mypy --strict`, and wrong rows do not; help names no private type."""

import pydoc
import subprocess
import sys
from pathlib import Path

import forwardpass
import pytest

GOOD = """
import decimal
from typing import TypedDict

import numpy as np
from forwardpass import AsyncClient, Client, StreamRequest


class Row(TypedDict):
    age: float
    region: str


def predict(client: Client) -> None:
    client.predict("n", {"age": 1, "region": "north", "smoker": True})
    client.predict("n", [{"age": 1, "region": "north", "smoker": True}, {"age": None, "region": "south"}])
    row = {"age": 1, "region": "north", "smoker": True}
    rows = [row, row]
    client.predict("n", row)
    client.predict("n", rows)
    client.predict("n", {"age": [1, 2], "region": ["north", None]})
    client.predict("n", {"age": np.ones(2), "region": ["north", "south"]})
    client.predict("n", Row(age=1, region="north"))
    client.predict("n", [2, 3])
    client.predict("n", (2, 3.5))
    client.predict("n", [[2, 3], [4.5, None]])
    client.predict("n", 5.0)
    client.predict("n", np.ones((2, 2), np.float32))
    client.predict("n", [np.ones(2), np.ones(2)])
    client.predict("n", [decimal.Decimal(1), np.float32(2)])
    client.trace("n", {"age": 1, "region": "north"}).outputs
    client.predict_many([StreamRequest(network="n", rows={"age": 1, "region": "north"})])
    list(client.predict_batches("n", iter(rows)))


async def predict_async(client: AsyncClient) -> None:
    await client.predict("n", {"age": 1, "region": "north", "smoker": True})
"""

WRONG = {
    "text": ('client.predict("n", "2, 3")', "str"),
    "texts": ('client.predict("n", ["2", "3"])', "str"),
    "names that are numbers": ('client.predict("n", {1: 2.0})', "int"),
}


def mypy(code: str, folder: Path) -> list[str]:
    (folder / "snippet.py").write_text(code)
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--cache-dir", str(folder), "snippet.py"]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=folder, timeout=300, check=False)
    return [line for line in ran.stdout.splitlines() if line.startswith("snippet.py") or not line.startswith("Found")]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("mypy")
    return tmp_path_factory.mktemp("mypy")


def test_rows_of_mixed_types_type_check(cache: Path) -> None:
    assert mypy(GOOD, cache) == ["Success: no issues found in 1 source file"]


@pytest.mark.parametrize(("call", "kind"), WRONG.values(), ids=WRONG)
def test_wrong_rows_do_not_and_the_error_names_no_private_type(cache: Path, call: str, kind: str) -> None:
    (error, *_) = mypy(f"from forwardpass import Client\n\n\ndef f(client: Client) -> None:\n    {call}\n", cache)
    assert "error" in error
    assert kind in error
    assert "_Supports" not in error
    assert "_typing" not in error


@pytest.mark.parametrize(
    "thing", [forwardpass.Client.predict, forwardpass.AsyncClient.trace, forwardpass.StreamRequest]
)
def test_help_names_no_private_type(thing: object) -> None:
    shown = pydoc.plain(pydoc.render_doc(thing))
    assert "_typing" not in shown
    assert "_NestedSequence" not in shown
