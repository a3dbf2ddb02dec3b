"""Opening: a database that cannot be used is rejected with a message and not changed."""

import os
import shutil
import sqlite3
import subprocess
import sys
import zipfile
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from forwardpass_server.registry import Registry, SqlStore, StoreOpenError
from forwardpass_server.registry.storage import schema, sqlite
from forwardpass_server.registry.storage.tables import metadata
from sqlalchemy import inspect
from sqlalchemy.engine import make_url

from tests.support.python_process import ROOT, let_others_pass, run_python, start_python
from tests.support.sample_networks import BUILTINS, tiny


def open_error(url: object) -> str:
    with pytest.raises(StoreOpenError) as refused:
        SqlStore(str(url))
    sentence = str(refused.value)
    assert "\n" not in sentence
    return sentence


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("", "not of the form sqlite:///FILE"),
        ("registry.db", "not of the form sqlite:///FILE"),
        ("mysql://root:secret@host/db", "'mysql' is not supported"),
        ("sqlite://registry.db", "three slashes"),
        ("sqlite:///registry.db?mode=ro", "nothing else"),
        ("sqlite:////no/such/folder/registry.db", "folder /no/such/folder does not exist"),
        ("sqlite:////", "is a folder"),
    ],
)
def test_rejected_urls(url: str, words: str) -> None:
    sentence = open_error(url)
    assert words in sentence
    assert "secret" not in sentence


@pytest.mark.parametrize(
    "content",
    [b"hello", b"\0" * 100, b"SQLite format 3\0", os.urandom(10_000), b"SQLite format 3\0" + b"\xff" * 8_000],
    ids=["text", "zeros", "short", "random", "header only"],
)
def test_not_a_database(database: Path, content: bytes) -> None:
    database.write_bytes(content)
    assert f"the database {database} cannot be used: its file is not a SQLite database" in open_error(
        f"sqlite:///{database}"
    )
    assert database.read_bytes() == content
    assert {path.name for path in database.parent.iterdir()} == {database.name, f"{database.name}.lock"}


@pytest.mark.parametrize("journal", ["DELETE", "WAL"])
@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param("UPDATE alembic_version SET version_num = '9999'", "newer version", id="newer"),
        pytest.param("INSERT INTO alembic_version VALUES ('9999')", "newer version", id="newer branch"),
        pytest.param("DROP TABLE alembic_version", "another program's", id="another program's"),
    ],
)
def test_unknown_schema_is_not_changed(database: Path, journal: str, change: str, words: str) -> None:
    with SqlStore(f"sqlite:///{database}") as store:
        Registry.open(store)
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute(change)
        connection.commit()
        connection.execute(f"PRAGMA journal_mode={journal}")
    before = database.read_bytes()
    sentence = open_error(f"sqlite:///{database}")
    assert words in sentence
    assert "nothing was changed" in sentence
    assert database.read_bytes() == before


OPEN_WITHOUT_RIGHTS = """if True:
    import os, sys
    from forwardpass_server.registry import SqlStore, StoreOpenError
    if os.geteuid() == 0:  # who may do everything
        SqlStore("sqlite://").close()  # imports what root alone may read
        os.setuid(65534)
    try:
        SqlStore(f"sqlite:///{sys.argv[1]}")
    except StoreOpenError as error:
        print(error)
"""


def test_no_permission(database: Path) -> None:
    database.parent.chmod(0o555)
    let_others_pass(database.parent)
    assert (
        run_python(OPEN_WITHOUT_RIGHTS, database)
        == f"the database's lock {database}.lock cannot be opened: Permission denied\n"
    )
    database.parent.chmod(0o755)
    database.touch(mode=0o600)
    database.with_name(f"{database.name}.lock").touch()
    database.with_name(f"{database.name}.lock").chmod(0o666)
    if os.geteuid() == 0:
        out = run_python(OPEN_WITHOUT_RIGHTS, database)
        assert out.startswith(f"the database {database} cannot be used: its file cannot be opened")


@pytest.mark.prove  # starts processes
def test_folder_without_search_permission(database: Path) -> None:
    let_others_pass(database.parent)
    database.parent.chmod(0o755)
    closed = database.with_name("closed")
    closed.mkdir(mode=0)
    said = run_python(OPEN_WITHOUT_RIGHTS, closed / "networks.db")
    closed.chmod(0o700)
    # Python 3.14 finds out one step later, at the lock.
    assert said.startswith("the database")
    assert said.endswith("Permission denied\n")


def test_one_process_at_a_time(database: Path) -> None:
    code = """if True:
        import sys
        from forwardpass_server.registry import Registry, SqlStore
        store = SqlStore(f"sqlite:///{sys.argv[1]}")
        print("open", flush=True)
        sys.stdin.read()
    """
    link = database.with_name("link.db")
    link.symlink_to(database)
    with start_python(code, database, stdin=-1) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "open\n"
        for path in (database, link):
            assert "in use by another forwardpass-server" in open_error(f"sqlite:///{path}")
        other.kill()
    with SqlStore(f"sqlite:///{link}") as store:  # a lock dies with its process
        assert Registry.open(store).register("net", tiny()).created
        assert "in use" in open_error(f"sqlite:///{database}")
    SqlStore(f"sqlite:///{database}").close()


@pytest.mark.prove  # starts processes
def test_processes_migrate_at_once(tmp_path: Path) -> None:
    code = """if True:
        import sys
        from forwardpass_server.registry.storage import schema, sqlite
        from sqlalchemy.engine import make_url
        engines = [
            sqlite.make_engine(sqlite.resolved(make_url(f"sqlite:///{sys.argv[1]}/{number}.db")), lock_timeout=30)
            for number in range(10)
        ]
        print("ready", flush=True)
        sys.stdin.readline()
        for engine in engines:
            with engine.begin() as connection:
                schema.migrate(connection)
            engine.dispose()
    """
    with ExitStack() as stack:
        processes = [stack.enter_context(start_python(code, tmp_path, stdin=subprocess.PIPE)) for _ in range(2)]
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        for process in processes:
            _, err = process.communicate(timeout=60)
            assert process.returncode == 0, err
    for number in range(10):
        with SqlStore(f"sqlite:///{tmp_path / f'{number}.db'}") as store:
            assert store.read_state().revision == 0


def test_migration_is_atomic(database: Path) -> None:
    engine = sqlite.make_engine(sqlite.resolved(make_url(f"sqlite:///{database}")), lock_timeout=1)
    with engine.connect() as connection:
        schema.migrate(connection)
        assert inspect(connection).get_table_names()  # and no commit
    with engine.begin() as connection:
        assert not inspect(connection).get_table_names()
    engine.dispose()


def test_migrations_create_the_tables() -> None:
    engine = sqlite.make_engine(sqlite.resolved(make_url("sqlite://")), lock_timeout=1)
    with engine.begin() as connection:
        schema.migrate(connection)
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
        assert context.get_current_revision() == schema.HEAD
    engine.dispose()
    assert ScriptDirectory.from_config(schema._config()).get_heads() == [schema.HEAD]


def test_settings_of_every_connection(database: Path) -> None:
    with SqlStore(f"sqlite:///{database}") as store, ExitStack() as stack:
        for _ in range(3):
            connection = stack.enter_context(store.database._engine.connect().execution_options(read_only=True))
            pragmas = [
                connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
                for name in ("journal_mode", "synchronous", "foreign_keys")
            ]
            assert pragmas == ["delete", 3, 1], "3 is EXTRA"


def test_write_ahead_log_is_switched_off(database: Path) -> None:
    SqlStore(f"sqlite:///{database}").close()
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("PRAGMA journal_mode=WAL").fetchone() == ("wal",)
    with SqlStore(f"sqlite:///{database}") as store:
        Registry.open(store)
        assert not database.with_name(f"{database.name}-wal").exists()


@pytest.mark.parametrize("name", ["with space.db", "100%.db", "%(here)s.db", "größe.db"])
def test_unusual_file_names(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "odd % folder"
    folder.mkdir()
    with SqlStore(f"sqlite:///{folder / name}") as store:
        Registry.open(store)
    assert (folder / name).is_file()


def test_relative_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    SqlStore("sqlite:///registry.db").close()
    assert (tmp_path / "registry.db").is_file()


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:"])
def test_database_in_memory(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with SqlStore(url) as store:
        assert len(Registry.open(store).networks()) == len(BUILTINS)
    assert not list(tmp_path.iterdir())


@pytest.mark.prove  # builds a wheel
def test_migrations_are_in_the_wheel(tmp_path: Path) -> None:
    source, unpacked = tmp_path / "source", tmp_path / "unpacked"
    source.mkdir()
    for folder in ("client", "server"):
        shutil.copytree(ROOT / folder, source / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", source)
    for name in ("README.md", "LICENSE"):
        (source / name).touch()
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    subprocess.run(build, cwd=source, check=True, capture_output=True)
    [wheel] = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(unpacked)
    code = """if True:
        import sys
        sys.path[:0] = [sys.argv[1]]
        import forwardpass_server.registry as registry
        assert registry.__file__.startswith(sys.argv[1]), registry.__file__
        with registry.SqlStore(f"sqlite:///{sys.argv[1]}/registry.db") as store:
            print(len(registry.Registry.open(store).networks()))
    """
    assert run_python(code, unpacked, cwd=tmp_path) == "3\n"
