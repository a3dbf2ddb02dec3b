"""Make mutants: `python -m tests.mutants.inside COUNT SEED FILE...`, in the environment that has cosmic-ray.

Prints a random sample of the mutants of the files, at most one of each place, each as a line of JSON.
"""

import ast
import json
import random
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names

UNUSED: Final = re.compile(
    r"NoOp|BinaryOperator_BitOr_|ComparisonOperator_(?!Is_IsNot|IsNot_Is)(Is_|IsNot_|\w+_Is$|\w+_IsNot$)"
)
"""Operators that are not used: `|` mostly joins types; and `is` and `==` of small numbers and of None are alike."""


def main(count: int, seed: int, files: Sequence[str]) -> None:
    """Print the sample."""
    every = [(file, *place) for file in sorted(files) for place in _places(Path(file).read_text())]
    drawn = random.Random(seed)
    drawn.shuffle(every)
    seen: set[tuple[str, tuple[int, int]]] = set()
    for file, place, name, occurrence in every:
        if (file, place) in seen:
            continue
        before = Path(file).read_text()
        after = mutate_code(before, get_operator(name)(), occurrence)
        if after is None or _meaning(after) in {_meaning(before), None}:
            continue
        seen.add((file, place))
        print(json.dumps({"file": file, "line": place[0], "operator": name.partition("/")[2], "code": after}))
        count -= 1
        if not count:
            return


def _places(code: str) -> Iterator[tuple[tuple[int, int], str, int]]:
    """Yield line, operator and number of each place that an operator could change."""
    tree = get_ast(code)
    for name in operator_names():
        kind = get_operator(name)
        if kind.arguments() or UNUSED.search(name):
            continue
        places = (start for node in ast_nodes(tree) for start, _ in kind().mutation_positions(node))
        for occurrence, place in enumerate(places):
            yield place, name, occurrence


class _WithoutAnnotations(ast.NodeTransformer):
    """Removes what has no meaning when a program runs."""

    def visit_arg(self, node: ast.arg) -> Any:
        node.annotation = None
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> Any:
        node.returns = None
        return self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> Any:
        node.annotation = ast.Constant(None)
        return self.generic_visit(node)


def _meaning(code: str) -> str | None:
    """Return code without what has no meaning when it runs, or None if it is no Python: some mutants are none."""
    try:
        return ast.dump(_WithoutAnnotations().visit(ast.parse(code)))
    except SyntaxError:
        return None


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
