"""Hostile content is refused with an error, quickly, and in little memory, as docs/explanation/security.md promises."""

import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from tests.hostile.corpus import CPU_SECONDS, MEMORY_BYTES, SLACK, Hostile

ROOT = Path(__file__).parents[2]
JUDGE = """if True:
    import json, sys
    from dataclasses import asdict
    from importlib import import_module
    from tests.hostile.corpus import judge
    corpus = import_module(f"tests.hostile.{sys.argv[1]}").CORPUS
    for title, case in corpus.items():
        print(json.dumps([title, asdict(judge(case))]), flush=True)
"""


@pytest.mark.parametrize("name", ["specs", pytest.param("models", marks=pytest.mark.prove)])
def test_each_case_is_refused(name: str) -> None:
    cases: dict[str, Hostile] = import_module(f"tests.hostile.{name}").CORPUS
    ran = subprocess.run(
        [sys.executable, "-c", JUDGE, name], capture_output=True, text=True, timeout=300, check=False, cwd=ROOT
    )
    outcomes = dict(map(json.loads, ran.stdout.splitlines()))
    assert outcomes.keys() == cases.keys(), ran.stderr
    wrong = []
    for title, found in outcomes.items():
        print(f"{found['cpu'] * 1000:7.1f} ms {found['memory'] / 2**20:7.1f} MB  {title}: {found['said'][:90]!r}")
        slow = found["cpu"] > SLACK * CPU_SECONDS or found["memory"] > SLACK * MEMORY_BYTES
        if not found["refused"] or cases[title].words not in found["said"] or slow:
            wrong.append((title, found))
    assert not wrong
