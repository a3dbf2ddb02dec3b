"""The node tests that the package onnx ships, computed by the reference and by the server's core."""

import onnx
import pytest

from tests.support.onnx_node_cases import READ, cases, some_cases
from tests.support.onnx_node_table import DOCS, documented, results


def test_some_node_tests_of_each_operator_are_computed_or_rejected_with_a_reason() -> None:
    found = results(some_cases())
    assert not found.failed, "\n".join(found.failed)
    assert all(all(reasons) for reasons in found.refused.values())
    assert len(found.computed) > 70


@pytest.mark.prove
def test_every_node_test_is_computed_or_rejected_with_a_reason() -> None:
    found = results(cases())
    lines = list(found.lines())
    print("", *lines, sep="\n")
    assert not found.failed, "\n".join(found.failed)
    assert all(all(reasons) for reasons in found.refused.values())
    assert found.computed.total() > 450  # onnx 1.17, the oldest, ships fewer than later versions
    if documented().startswith(f"onnx {onnx.__version__}:"):
        assert documented().splitlines() == lines, "python -m tests.support.onnx_node_table writes them"


def test_every_operator_that_is_read_is_in_the_docs() -> None:
    text = DOCS.read_text()
    assert [op for _, op in READ if f"`{op}`" not in text] == []
