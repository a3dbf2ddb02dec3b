"""The commands between files and the registry: validate, register, import, export."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, DownloadColumn, TransferSpeedColumn

from forwardpass import importers, spec
from forwardpass.cli import output, reading, writing
from forwardpass.cli.common import Json, Name, Version, client_of
from forwardpass.cli.import_progress import import_progress

File = Annotated[str, typer.Argument(metavar="FILE", help="A .json, .safetensors or exported .py; - is JSON on stdin.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(validate)
    app.command()(register)
    app.command("import")(import_)
    app.command()(export)


def validate(file: File, as_json: Json = False) -> None:
    """Check a spec without a server, all but its examples, which a server computes."""
    network = reading.read_spec(file)
    if as_json:
        output.print_json(
            {
                "valid": True,
                "digest": spec.digest(network),
                "parameter_count": network.parameter_count,
                "examples": len(network.examples),
            }
        )
        return
    output.echo(f"valid: {network!r}")
    certificate = importers.Certificate.of(network.metadata)
    if certificate is not None:
        output.echo(f"parity: {certificate if certificate.covers(network) else 'NOT PROVEN, it was changed since'}")
    if network.examples:
        output.echo(f"not checked: {len(network.examples)} examples; `register --validate-only` computes them")


def register(
    context: typer.Context,
    name: Name,
    file: File,
    validate_only: Annotated[
        bool, typer.Option("--validate-only", help="Check everything, examples too, and write nothing.")
    ] = False,
    keep_latest: Annotated[bool, typer.Option("--keep-latest", help="Leave `latest` where it is.")] = False,
    as_json: Json = False,
) -> None:
    """Register a spec as a network's next version."""
    _register(context, name, reading.read_spec(file), validate_only, keep_latest, as_json)


def import_(
    context: typer.Context,
    model: Annotated[
        str,
        typer.Argument(metavar="MODEL", help="An .onnx or .keras file; or MODULE:ATTRIBUTE, a model or what makes it."),
    ],
    architecture: Annotated[
        str | None,
        typer.Option(metavar="MODULE:ATTRIBUTE", help="The PyTorch module whose weights a .safetensors file has."),
    ] = None,
    name: Annotated[str | None, typer.Option("--name", metavar="NAME", help="Register it by this name.")] = None,
    out: Annotated[
        str | None, typer.Option("--out", metavar="FILE", help="Write it to a .json, .safetensors, .onnx or .py file.")
    ] = None,
    csv: Annotated[
        str | None, typer.Option("--csv", metavar="FILE", help="Compare on these rows too; - is stdin.")
    ] = None,
    output_names: Annotated[
        list[str] | None,
        typer.Option(
            "--output",
            metavar="NAME",
            help="An output's name, or the output of an ONNX file to keep; repeat it for each.",
        ),
    ] = None,
    classes: Annotated[
        list[str] | None, typer.Option("--class", metavar="LABEL", help="A class's label; repeat it for each.")
    ] = None,
    description: Annotated[str, typer.Option("--description", help="What the network is for.")] = "",
    rows_axis: Annotated[
        str | None,
        typer.Option(
            metavar="AXIS", help="The axis of an ONNX file's inputs that has the rows, from 0 on; or none, for one row."
        ),
    ] = None,
    dtype: Annotated[
        str | None, typer.Option("--dtype", help="float64 or float32; the framework's if left out.")
    ] = None,
    tolerance: Annotated[
        float | None, typer.Option(help="The largest accepted relative difference; by default 1e-9, float32 1e-4.")
    ] = None,
    validate_only: Annotated[
        bool, typer.Option("--validate-only", help="Let the server check, and not write.")
    ] = False,
    keep_latest: Annotated[bool, typer.Option("--keep-latest", help="Leave `latest` where it is.")] = False,
    as_json: Json = False,
) -> None:
    """Make a network of a framework's model, prove that both compute the same, and register it."""
    if name is None and out is None:
        raise typer.BadParameter("one of the two is needed", param_hint="--name or --out")
    sys.path.insert(0, str(Path.cwd()))  # as `python -m` does it
    with import_progress() as progress:
        imported = importers.import_model(
            importers.load_weights(model, architecture) if architecture else importers.load_object(model),
            rows=None if csv is None else reading.read_rows(None, csv, tuple),
            outputs=output_names or (),
            classes=classes or (),
            description=description,
            rows_axis=int(rows_axis) if rows_axis is not None and rows_axis.isdecimal() else rows_axis,
            dtype=dtype,
            tolerance=tolerance,
            progress=progress,
        )
    if not as_json:
        output.echo(f"parity: {imported.certificate}")
        for note in imported.notes:
            output.echo(f"note: {note}")
    if out is not None:
        writing.write_network(out, imported.spec)
    if name is not None:
        _register(context, name, imported.spec, validate_only, keep_latest, as_json)
    elif as_json:
        output.print_json(imported.certificate)


def _register(
    context: typer.Context,
    name: str,
    network: spec.NetworkSpec,
    validate_only: bool,
    keep_latest: bool,
    as_json: bool,
) -> None:
    with (
        client_of(context) as client,
        output.progress_bar(BarColumn(), DownloadColumn(), TransferSpeedColumn()) as bar,
    ):
        task = bar.add_task("upload", total=None)
        done = client.register(
            name,
            network,
            validate_only=validate_only,
            keep_latest=keep_latest,
            progress=lambda sent, total: bar.update(task, completed=sent, total=total),
        )
    if as_json:
        output.print_json(done)
    elif validate_only:
        output.echo(f"valid: {network!r}; nothing was written")
    else:
        known = "" if done.created else ", which was there already"
        output.echo(f"{name} version {done.version}{known}, digest {done.digest}")


def export(
    context: typer.Context,
    name: Name,
    to: Annotated[
        str,
        typer.Option("--to", metavar="FILE", help="The file, .json, .safetensors, .onnx or .py."),
    ],
    version: Version = "",
) -> None:
    """Write a network as a file: a spec, an ONNX model, or a Python program that needs numpy and nothing else."""
    with client_of(context) as client:
        network = client.spec(name, version=version)
    writing.write_network(to, network)
    output.echo(f"{to}: {network!r}, digest {spec.digest(network)}")
