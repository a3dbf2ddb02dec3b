"""The table of node tests in docs/importing/onnx-operators.md; `python -m tests.support.onnx_node_table` writes it."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from forwardpass.importers.reference import compute
from forwardpass.tensors import Array
from forwardpass_server.core import forward
from forwardpass_server.registry.compile import compile_plan

from tests.support.onnx_node_cases import Read, cases, operator, read

DOCS = Path(__file__).parents[2] / "docs" / "importing" / "onnx-operators.md"
_PLACE = re.compile(r"(<!-- node tests: .* -->\n)(.*?)(<!-- end -->)", flags=re.DOTALL)


@dataclass(kw_only=True)
class Results:
    """What came of the node tests.

    Attributes:
        computed: How many were, by operator.
        refused: How many were, by operator and reason.
        failed: A sentence for each that was computed wrongly.
    """

    computed: Counter[str] = field(default_factory=Counter)
    refused: dict[str, Counter[str]] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)

    def lines(self) -> Iterator[str]:
        """Yield the lines of the table."""
        computed, refused = self.computed.total(), sum(reasons.total() for reasons in self.refused.values())
        yield f"onnx {onnx.__version__}: {computed} computed, {len(self.failed)} failed, {refused} refused."
        yield ""
        yield "| operator | computed | refused, because it |"
        yield "|---|---|---|"
        for name in sorted({*self.computed, *self.refused}):
            reasons = [f"{why} ({number})" for why, number in sorted(self.refused.get(name, {}).items())]
            yield f"| {name if ' ' in name else f'`{name}`'} | {self.computed[name]} | {'; '.join(reasons)} |"


def results(chosen: Iterable[Any]) -> Results:
    """Run node tests of operators that are read."""
    found = Results()
    for case in chosen:
        name, came = operator(case), read(case)
        if isinstance(came, str):
            found.refused.setdefault(name, Counter())[_reason(came.removeprefix(f"{name} "))] += 1
            continue
        found.computed[name] += 1
        try:
            _check(case.rtol, case.atol, came)
        except AssertionError as error:
            found.failed.append(f"{case.name}: {error}")
    return found


def _reason(text: str) -> str:
    """Return a reason without what is of one test alone."""
    for pattern, words in _ALIKE.items():
        text = re.sub(pattern, words, text)
    return text.partition(";")[0]


_ALIKE = {
    r"[0-9][0-9,]+ elements": "too many elements",
    r"computes in u?int[0-9]+": "computes in whole numbers",
    r"the element type [0-9]+, which": "an element type that",
    r"casts float[0-9]+ to float[0-9]+, which": "makes or reads float16, which",
    r" '[^']*',?": "",
    r"(shape) \[[^]]*\]( to a tensor of shape \[[^]]*\])?": r"\1",
}


def documented() -> str:
    """Return the table as the document has it."""
    found = _PLACE.search(DOCS.read_text())
    assert found is not None
    return found[2]


def _check(rtol: float, atol: float, found: Read) -> None:
    for computed in (compute(found.network, found.rows), _loaded(found)):
        if found.outputs is not None:
            np.testing.assert_allclose(computed, found.outputs, rtol=rtol, atol=atol)
        if found.labels is not None:
            assert [found.graph.classes[place] for place in computed.argmax(axis=1)] == found.labels


def _loaded(found: Read) -> Array:
    with np.errstate(all="ignore"):
        return forward(compile_plan(found.network), found.rows.astype(found.network.dtype))


if __name__ == "__main__":
    table = "".join(f"{line}\n" for line in results(cases()).lines())
    DOCS.write_text(_PLACE.sub(lambda found: found[1] + table + found[3], DOCS.read_text()))
