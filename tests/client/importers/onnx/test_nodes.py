"""Every node test that the package onnx ships, of every operator that is read, by the reference and by our core."""

import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from forwardpass.importers.reference import compute
from forwardpass.tensors import Array
from forwardpass_server.core import forward
from forwardpass_server.registry.compile import compile_plan

from tests.client.importers.onnx.node_cases import Read, cases, operator, read

DOCS = (Path(__file__).parents[4] / "docs" / "importing.md").read_text()


def check(case: Any, found: Read) -> None:
    theirs, ours = compute(found.network, found.rows), _served(found)
    for computed in (theirs, ours):
        if found.outputs is not None:
            np.testing.assert_allclose(computed, found.outputs, rtol=case.rtol, atol=case.atol, err_msg=case.name)
        if found.labels is not None:
            assert [found.graph.classes[place] for place in computed.argmax(axis=1)] == found.labels


def _served(found: Read) -> Array:
    with np.errstate(all="ignore"):
        return forward(compile_plan(found.network), found.rows.astype(found.network.dtype))


def test_every_node_test_is_computed_or_refused_with_a_reason() -> None:
    ran: Counter[str] = Counter()
    refused: dict[str, Counter[str]] = {}
    failed: list[str] = []
    for case in cases():
        found = read(case)
        if isinstance(found, str):
            assert found, case.name
            refused.setdefault(operator(case), Counter())[_short(found)] += 1
            continue
        try:
            check(case, found)
        except AssertionError as error:
            failed.append(f"{case.name}: {error}")
        ran[operator(case)] += 1
    print(f"\nonnx {onnx.__version__}: {len(cases())} node tests of operators that are read")
    print(f"computed {sum(ran.values())}, failed {len(failed)}, refused {len(cases()) - sum(ran.values())}")
    for name in sorted({*ran, *refused}):
        print(
            f"  {name:24} {ran[name]:4} computed",
            *(f"{n} refused: {why}" for why, n in refused.get(name, {}).items()),
            sep="; ",
        )
    assert not failed, "\n".join(failed)
    assert sum(ran.values()) > 500


def _short(reason: str) -> str:
    return re.sub(r"[0-9][0-9,]*|'[^']*'", "..", reason).partition(";")[0]
