"""Extracts the source of formulas: the needed functions and table entries of some modules, with their dependencies."""

import ast
import inspect
from collections.abc import Iterator
from types import ModuleType
from typing import Final

_TABLES: Final = {"FUNCTIONS": "_PLAIN"}
"""The names of tables in the modules, where these build a table from another one."""


class Formulas:
    """The needed functions and tables of some modules, written without annotations."""

    def __init__(self, *modules: ModuleType) -> None:
        self._defined: dict[str, ast.stmt] = {}
        self._tables: dict[str, dict[str, ast.expr]] = {}
        for module in modules:
            for statement in ast.parse(inspect.getsource(module)).body:
                self._read(_without_annotations(statement))
        self._functions: set[str] = set()
        self._entries: dict[str, set[str]] = {}

    def need(self, table: str, key: str) -> None:
        """Add an entry of a table and its dependencies."""
        entries = self._entries.setdefault(table, set())
        if key not in entries:
            entries.add(key)
            self._follow(self._tables[_TABLES.get(table, table)][key])

    def need_function(self, name: str) -> None:
        """Add a function or constant and its dependencies."""
        if name not in self._functions:
            self._functions.add(name)
            self._follow(self._defined[name])

    def text(self) -> str:
        """Return the source: functions in the order of the modules, then tables."""
        for name in self._tables:  # a function that looks into a table may find it empty
            if any(_uses(self._defined[function], name) for function in self._functions):
                self._entries.setdefault(name, set())
        shown = [
            ast.unparse(statement) + ("\n\n" if isinstance(statement, ast.FunctionDef) else "")
            for name, statement in self._defined.items()
            if name in self._functions
        ]
        return "\n\n" + "\n".join([*shown, *self._written(), ""])

    def _read(self, statement: ast.stmt) -> None:
        if isinstance(statement, ast.FunctionDef):
            self._defined[statement.name] = statement
        elif isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            name, value = statement.targets[0].id, statement.value
            inner = value.args[0] if isinstance(value, ast.Call) and value.args else value
            if isinstance(inner, ast.Dict):
                self._tables[name] = {
                    str(key.value): entry
                    for key, entry in zip(inner.keys, inner.values, strict=True)
                    if isinstance(key, ast.Constant)
                }
            elif name not in _TABLES:
                self._defined[name] = statement

    def _follow(self, node: ast.AST) -> None:
        """Add the names that a piece of source uses; of a table, the entry of a constant key or the whole."""
        keyed = set()
        for part in ast.walk(node):
            if isinstance(part, ast.Subscript) and isinstance(part.value, ast.Name):
                table, key = part.value.id, part.slice
                if _TABLES.get(table, table) in self._tables and isinstance(key, ast.Constant):
                    keyed.add(table)
                    self.need(table, str(key.value))
        for part in ast.walk(node):
            if isinstance(part, ast.Name) and part.id in self._defined:
                self.need_function(part.id)
            elif isinstance(part, ast.Name) and part.id in self._tables and part.id not in {*keyed, "_MERGES"}:
                for entry in self._tables[part.id]:
                    self.need(part.id, entry)

    def _written(self) -> Iterator[str]:
        """Write the tables, first the one that others use."""
        for name in sorted(self._entries, key=lambda name: name != "FUNCTIONS"):
            entries = self._tables[_TABLES.get(name, name)]
            lines = [f"    {key!r}: {ast.unparse(entries[key])}," for key in entries if key in self._entries[name]]
            yield "\n".join([f"{name} = {{", *lines, "}"])


def _without_annotations(statement: ast.stmt) -> ast.stmt:
    if isinstance(statement, ast.AnnAssign) and statement.value is not None:
        return ast.copy_location(ast.Assign(targets=[statement.target], value=statement.value), statement)
    for node in ast.walk(statement):
        if isinstance(node, ast.FunctionDef):
            node.returns = None
        elif isinstance(node, ast.arg):
            node.annotation = None
    return statement


def _uses(node: ast.AST, name: str) -> bool:
    return any(isinstance(part, ast.Name) and part.id == name for part in ast.walk(node))
