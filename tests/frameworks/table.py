"""The table of docs/importing/measured.md: every framework's architectures and their largest differences."""

from collections.abc import Iterable

from tests.support.environments import ROOT

DOCS = ROOT / "docs" / "importing" / "measured.md"
START, END = "<!-- measured: make test-frameworks -->\n", "<!-- end -->"
HEAD = "| framework | architecture | certificate | server's core | float32 |\n|---|---|---|---|---|\n"


def rows() -> list[str]:
    """Return the rows of the table, without its head."""
    return _parts(DOCS.read_text())[1].removeprefix(HEAD).splitlines()


def places(lines: Iterable[str]) -> list[tuple[str, str]]:
    """Return the framework, without its version, and the architecture of each row."""
    cells = [line.strip("| ").split(" | ") for line in lines]
    return [(framework.rpartition(" ")[0], architecture) for framework, architecture, *_ in cells]


def write(measured: Iterable[str]) -> None:
    """Put new rows of some frameworks into the document in place of their old ones."""
    before, _, after = _parts(DOCS.read_text())
    new = list(measured)
    names = {framework for framework, _ in places(new)}
    kept = [line for line in rows() if places([line])[0][0] not in names]
    # A framework's rows keep their order, which is that of its cases.
    lines = sorted([*kept, *new], key=lambda line: places([line])[0][0])
    DOCS.write_text(before + START + HEAD + "".join(f"{line}\n" for line in lines) + END + after)


def _parts(text: str) -> tuple[str, str, str]:
    before, start, rest = text.partition(START)
    table, end, after = rest.partition(END)
    if not (start and end):
        raise ValueError(f"{DOCS} has no table between {START!r} and {END!r}")
    return before, table, after
