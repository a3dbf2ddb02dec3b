"""Databases with many networks, created in seconds: one is registered, and its rows are multiplied."""

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Final

from forwardpass import spec
from forwardpass_server.registry import Registry, SqlStore

from benchmarks import networks
from benchmarks.lab import Lab

TABLES: Final[Mapping[str, Mapping[str, str]]] = {
    "networks": {"name": "name_of(i)"},
    "versions": {"name": "name_of(i)", "content": "content_of(i)", "digest": "digest_of(i)"},
    "aliases": {"name": "name_of(i)"},
}
"""The columns in which each further network differs from the first one."""


def create_database(lab: Lab, count: int) -> Path:
    """Create a database with `count` networks 30-64-32-1 of different contents, once in a run; return its path."""
    path = lab.folder / f"networks-{count}.sqlite3"
    if not path.exists():
        with SqlStore(f"sqlite:///{path}") as store:
            registry = Registry.open(store)
            if count:
                registry.register(name_of(0), _network(0))
        with closing(sqlite3.connect(path)) as connection:
            _multiply(connection, count)
    return path


def _multiply(connection: sqlite3.Connection, count: int) -> None:
    connection.create_function("name_of", 1, name_of)
    connection.create_function("content_of", 1, lambda index: spec.to_safetensors(_network(index)))
    connection.create_function("digest_of", 1, lambda index: spec.digest(_network(index)))
    for table, different in TABLES.items():
        names = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
        values = [different.get(name, f"{table}.{name}") for name in names]
        query = (
            "WITH RECURSIVE further(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM further WHERE i + 1 < ?) "
            f"INSERT INTO {table} ({', '.join(names)}) "
            f"SELECT {', '.join(values)} FROM {table}, further WHERE {table}.name = name_of(0) AND i < ?"
        )
        connection.execute(query, (count, count))
    connection.commit()


@cache
def _first() -> spec.NetworkSpec:
    return networks.network(networks.MIDDLE)


def name_of(index: int) -> str:
    """Return the name of a network by its index."""
    return f"net-{index:05d}"


def _network(index: int) -> spec.NetworkSpec:
    """Return a network whose content is as long as every other's."""
    return replace(_first(), description=f"network {index:05d}")
