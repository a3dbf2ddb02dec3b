"""Output of the command line: tables for people, JSON for scripts."""

import dataclasses
import json
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import numpy as np
from rich.cells import cell_len
from rich.console import Console
from rich.progress import Progress, ProgressColumn
from rich.table import Table
from rich.text import Text

from forwardpass.importers.certificate import PREFIX as PARITY
from forwardpass.importers.certificate import Certificate
from forwardpass.merges import reading
from forwardpass.models import (
    AliasMove,
    Explanation,
    FeatureInfo,
    NetworkInfo,
    Prediction,
    ShadowReport,
    Trace,
    VersionInfo,
)
from forwardpass.printable import printable, printable_json
from forwardpass.render.numerals import number
from forwardpass.spec import NetworkSpec, Output, to_json
from forwardpass.spec.feature_kinds import range_words

_SHOWN_MOVES: Final = 5
_COLUMN_GAP: Final = 2
_WRAPPED_WIDTH: Final = 20
"""Of a column that may be wrapped, where the others fill the line."""
_SEVERAL_LINES: Final = frozenset({"layers", "history"})


def plain(value: object) -> Any:
    """Turn any value of the client into what JSON can say; keys are the attributes' names."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value.isoformat() if isinstance(value, datetime) else value


def echo(text: str = "", *, lines: bool = False, err: bool = False) -> None:
    """Print a text for people, with escapes for the characters that a terminal obeys.

    Args:
        text: One line.
        lines: Whether it is several lines.
        err: Whether it goes to stderr.
    """
    print(printable(text, lines=lines), file=sys.stderr if err else sys.stdout, flush=True)


def is_unicode() -> bool:
    """Return whether standard output takes any character."""
    return (sys.stdout.encoding or "").lower().startswith("utf")


def terminal_width() -> int:
    """Return how many characters a line of the terminal has; 100 where there is none."""
    return max(40, shutil.get_terminal_size((100, 24)).columns)


def print_json(value: object, *, lines: bool = False) -> None:
    """Print one JSON document, or with `lines` one line of a stream of them."""
    text = json.dumps(plain(value), ensure_ascii=False, indent=None if lines else 2)
    print(printable_json(text), flush=lines)


def print_spec(network: NetworkSpec) -> None:
    """Print a spec as JSON."""
    print(printable_json(to_json(network)), end="")


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table, its lines without spaces at their ends; numbers are aligned by the caller's format.

    On a terminal, cells are cut at its width. A pipe or a file gets them whole.
    """
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(_cell(column), no_wrap=column != "description")
    for row in rows:
        table.add_row(*map(_cell, row))
    console = Console()
    if not console.is_terminal:
        console.width = max(console.width, _whole_width(table))
    with console.capture() as printed:
        console.print(table)
    for line in printed.get().splitlines():
        print(line.rstrip())


def _whole_width(table: Table) -> int:
    """Return the width at which only columns that may be wrapped are narrower than their cells."""
    gaps = _COLUMN_GAP * (len(table.columns) - 1)
    whole = [column for column in table.columns if column.no_wrap]
    wrapped = _WRAPPED_WIDTH * (len(table.columns) - len(whole))
    return gaps + wrapped + sum(max(cell_len(str(cell)) for cell in (column.header, *column.cells)) for column in whole)


def progress_bar(*columns: ProgressColumn) -> Progress:
    """Make a bar on stderr, which shows nothing where that is no terminal."""
    console = Console(stderr=True)
    # Older versions of rich end a disabled bar with an empty line: https://github.com/Textualize/rich/pull/3905
    console.quiet = not console.is_terminal
    return Progress(*columns, console=console, disable=console.quiet)


def _cell(text: str, *, lines: bool = False) -> Text:
    """Return a table's cell, whose text is neither obeyed by the terminal nor read as rich's markup."""
    return Text(printable(text, lines=lines))


def print_networks(networks: Iterable[NetworkInfo]) -> None:
    """Print one line for each network."""
    rows = [
        (
            info.name,
            str(info.latest_version),
            str(info.version_count),
            _aliases(info.aliases),
            info.description,
        )
        for info in networks
    ]
    print_table(["name", "latest", "versions", "aliases", "description"], rows)


def print_shadows(reports: Sequence[ShadowReport]) -> None:
    """Print one line for each shadow of a network, and why rows could not be computed."""
    columns = [
        "of",
        "version",
        "share",
        "rows",
        "drawn",
        "compared",
        "beyond",
        "relabeled",
        "worst",
        "dropped",
        "failed",
    ]
    rows = []
    for report in reports:
        of = report.shadow.of if report.shadow.of.isdecimal() else f"{report.shadow.of} ({report.of_version})"
        counts = [report.rows, report.sampled, report.compared, report.beyond, report.relabeled]
        lost = [report.dropped, report.failed]
        rows.append(
            [
                of,
                str(report.shadow.version),
                f"{report.shadow.share:.4g}",
                *(f"{count:,}" for count in counts),
                number(report.worst_absolute),
                *(f"{count:,}" for count in lost),
            ]
        )
    print_table(columns, rows)
    for report in reports:
        if report.failure:
            echo(f"version {report.shadow.version} beside {report.shadow.of}: {report.failure}")


def print_version(version: VersionInfo, network: NetworkInfo, moves: Mapping[str, Sequence[AliasMove]]) -> None:
    """Print what a version is, a fact in each line, and the last moves of the network's aliases."""
    facts = {
        "network": f"{version.network} version {version.number} of {network.version_count}",
        "description": version.description,
        "layers": "DAMAGED" if version.corrupt else _layers(version),
        "inputs": _names([_feature(feature) for feature in version.features]),
        "outputs": _names(_outputs(version)),
        "classes": _names(version.class_labels),
        "threshold": _names([f"{number:g}" for number in dict.fromkeys(version.thresholds)]),
        "dtype": version.dtype,
        "parameters": f"{version.parameter_count:,}",
        "aliases": _aliases(network.aliases),
        "history": "\n".join(_history(alias, moves[alias]) for alias in sorted(moves) if alias != "latest"),
        "shadow of": ", ".join(f"{shadow.of} ({shadow.share:.4g})" for shadow in version.shadow_of),
        "shadows": ", ".join(f"{shadow.version} of {shadow.of} ({shadow.share:.4g})" for shadow in network.shadows),
        "tags": ", ".join(version.tags),
        "digest": version.digest,
        "created": version.create_time.isoformat(timespec="seconds") if version.create_time else "",
        "profile": _profile(version),
        "parity": str(Certificate.of(version.metadata) or ""),
        **{key: fact for key, fact in version.metadata.items() if not key.startswith(PARITY)},
    }
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, fact in facts.items():
        if fact:
            table.add_row(_cell(name), _cell(fact, lines=name in _SEVERAL_LINES))
    Console().print(table)


def _profile(version: VersionInfo) -> str:
    kept = version.profile
    return f"{kept.rows:,} rows, since {kept.set_time:%Y-%m-%d %H:%M:%S}" if kept else ""


def _layers(version: VersionInfo) -> str:
    """A chain in one line; of a graph a line for each layer, with what it reads."""
    before = ("inputs", *(layer.name for layer in version.layers))
    jumps = any(layer.from_ not in {(), (name,)} for name, layer in zip(before, version.layers, strict=False))
    if not jumps and len(version.output_layers) <= 1:
        return " -> ".join([str(version.inputs), *(f"{layer.width} {layer.function}" for layer in version.layers)])
    groups = ", ".join(f"{name} {width}" for name, width in version.input_groups.items())
    lines = [f"inputs: {version.inputs}" + (f" ({groups})" if groups else "")]
    for layer in version.layers:
        output = ", output" if layer.name in version.output_layers else ""
        lines.append(f"{layer.name}: {layer.width} {layer.function} <- {reading(layer.from_, layer.merge)}{output}")
    return "\n".join(lines)


def print_prediction(prediction: Prediction) -> None:
    """Print one line for each row; warnings on stderr."""
    names = [*prediction.output_names]
    said = prediction.classifications
    if said:
        names += ["class", "probability"]
    names += ["chosen"] * any(row.chosen for row in said) + ["most probable"] * any(row.top for row in said)
    rows = []
    for index, outputs in enumerate(prediction.outputs.tolist()):
        row = [str(index), *map(number, outputs)]
        if said:
            row += [said[index].label, number(said[index].probability)]
        if "chosen" in names[len(outputs) :]:
            row.append(", ".join(said[index].chosen))
        if "most probable" in names[len(outputs) :]:
            row.append(", ".join(f"{each.label} {number(each.probability)}" for each in said[index].top))
        rows.append(row)
    print_table(["row", *names], rows)
    print_warnings(prediction)


def print_warnings(response: Prediction | Trace | Explanation) -> None:
    """Print on stderr which numbers are out of range."""
    for warning in response.warnings:
        echo(f"warning: row {warning.row}: {warning.message}", err=True)
    more = response.warning_count - len(response.warnings)
    if more:
        echo(f"warning: {more} more numbers are out of range", err=True)


def _feature(feature: FeatureInfo) -> str:
    """Return a feature's name, and its values where they are not just numbers."""
    ends = (feature.low, feature.high)
    kinds = {
        "category": f" ({len(feature.categories)} categories)",
        "boolean": " (boolean)",
        "number": "" if ends == (None, None) else f" ({range_words(ends).removesuffix(' is in range')})",
    }
    return feature.name + kinds[feature.kind]


def _outputs(version: VersionInfo) -> list[str]:
    """Return each output's name, with its unit."""
    facts = version.output_metadata or (Output(),) * len(version.output_names)
    pairs = zip(version.output_names, facts, strict=True)
    return [f"{name} ({fact.unit})" if fact.unit else name for name, fact in pairs]


def _aliases(aliases: Mapping[str, int]) -> str:
    return ", ".join(f"{alias} = {number}" for alias, number in sorted(aliases.items()) if alias != "latest")


def _history(alias: str, moves: Sequence[AliasMove]) -> str:
    """Return the moves of an alias, newest first, for example `production: 2 (rolled back) since ..., 3 since ...`."""
    said = [
        f"{move.version}"
        + (" (rolled back)" if move.rollback else "")
        + (" (deleted)" if move.deleted else "")
        + (f" since {move.time.isoformat(sep=' ', timespec='seconds')[:19]}" if move.time else "")
        for move in moves[:_SHOWN_MOVES]
    ]
    more = f", and {len(moves) - len(said)} before" if len(moves) > len(said) else ""
    return f"{alias}: {', '.join(said)}{more}"


def _names(names: Sequence[str], most: int = 12) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
