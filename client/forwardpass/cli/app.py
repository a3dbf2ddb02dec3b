"""The commands."""

import os
import shutil
import sys
import traceback
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.progress import BarColumn, DownloadColumn, TransferSpeedColumn

from forwardpass import Client, errors, importers, render, spec
from forwardpass.cli import bulk, output, reading, rollout, writing
from forwardpass.cli.common import Json, Name, Version, client_of, say

EXIT_CODES: dict[type[errors.ForwardpassError], int] = {
    errors.NotFoundError: 3,
    errors.UnavailableError: 4,
    errors.DeadlineExceededError: 4,
    errors.InternalError: 5,
    errors.NetworkCorruptError: 5,
}
"""The exit code of each error; what is not here is 1, and what typer refuses is 2."""

app = typer.Typer(
    name="forwardpass",
    help="Register feed-forward networks, predict, and see every node.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
alias_app = typer.Typer(help="Set and delete aliases.", no_args_is_help=True)
app.add_typer(alias_app, name="alias")
rollout.add_to(app)

Rows = Annotated[
    str | None,
    typer.Argument(metavar="[ROWS]", help='JSON: [2, 3], [[2, 3], [4, 5]] or {"children": 2, ...}; - is stdin.'),
]
Csv = Annotated[str | None, typer.Option("--csv", metavar="FILE", help="Read the rows from CSV; - is stdin.")]
File = Annotated[str, typer.Argument(metavar="FILE", help="A .json, .safetensors or exported .py; - is JSON on stdin.")]


@app.callback()
def common(
    context: typer.Context,
    target: Annotated[
        str, typer.Option(envvar="FORWARDPASS_TARGET", help="The server's address, HOST:PORT.")
    ] = "localhost:50051",
    token: Annotated[
        str | None, typer.Option(envvar="FORWARDPASS_TOKEN", help="The bearer token.", show_envvar=True)
    ] = None,
    timeout: Annotated[float, typer.Option(envvar="FORWARDPASS_TIMEOUT", help="Seconds to wait for an answer.")] = 10.0,
    tls: Annotated[bool, typer.Option("--tls", help="Connect with TLS.")] = False,
) -> None:
    """Keep what every command needs to reach the server."""
    context.obj = lambda: Client(target, timeout=timeout, token=token, tls=tls)


@app.command()
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
    print(f"valid: {network!r}")
    certificate = importers.Certificate.of(network.metadata)
    if certificate is not None:
        print(f"parity: {certificate if certificate.covers(network) else 'NOT PROVEN, it was changed since'}")
    if network.examples:
        print(f"not checked: {len(network.examples)} examples; `register --validate-only` computes them")


@app.command()
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


@app.command("import")
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
        list[str] | None, typer.Option("--output", metavar="NAME", help="An output's name; repeat it for each.")
    ] = None,
    classes: Annotated[
        list[str] | None, typer.Option("--class", metavar="LABEL", help="A class's label; repeat it for each.")
    ] = None,
    description: Annotated[str, typer.Option("--description", help="What the network is for.")] = "",
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
    imported = importers.import_model(
        importers.load_weights(model, architecture) if architecture else importers.load_object(model),
        rows=None if csv is None else reading.read_rows(None, csv, tuple),
        outputs=output_names or (),
        classes=classes or (),
        description=description,
        dtype=dtype,
        tolerance=tolerance,
    )
    if not as_json:
        print(f"parity: {imported.certificate}")
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
        print(f"valid: {network!r}; nothing was written")
    else:
        known = "" if done.created else ", which was there already"
        print(f"{name} version {done.version}{known}, digest {done.digest}")


@app.command("list")
def list_(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="List this network's versions.")] = None,
    as_json: Json = False,
) -> None:
    """List networks, or one network's versions."""
    with client_of(context) as client:
        if name is None:
            networks = list(client.networks())
            output.print_json(networks) if as_json else output.print_networks(networks)
            return
        versions = list(client.versions(name))
    if as_json:
        output.print_json(versions)
        return
    output.print_table(
        ["version", "digest", "created", "aliases", "description"],
        [
            (
                str(version.number),
                version.digest[:12],
                version.create_time.isoformat(timespec="seconds") if version.create_time else "",
                ", ".join(version.aliases),
                "DAMAGED" if version.corrupt else version.description,
            )
            for version in versions
        ],
    )


@app.command()
def show(
    context: typer.Context,
    name: Name,
    version: Version = "",
    as_spec: Annotated[bool, typer.Option("--spec", help="Print the spec as JSON, weights and all.")] = False,
    as_json: Json = False,
) -> None:
    """Show what a network is."""
    with client_of(context) as client:
        if as_spec:
            print(spec.to_json(client.spec(name, version=version)), end="")
            return
        info, network = client.version(name, version=version), client.network(name)
        moves = {alias: client.alias_moves(name, alias) for alias in network.aliases}
    if as_json:
        output.print_json({"network": network, "version": info, "moves": moves})
    else:
        output.print_version(info, network, moves)


@app.command()
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
    print(f"{to}: {network!r}, digest {spec.digest(network)}")


@app.command()
def predict(
    context: typer.Context,
    name: Name,
    rows: Rows = None,
    csv: Annotated[
        str | None,
        typer.Option(
            "--csv", metavar="FILE", help="Read the rows from CSV, - is stdin; or, with --out, from .parquet."
        ),
    ] = None,
    version: Version = "",
    out: Annotated[
        str | None, typer.Option("--out", metavar="FILE", help="Write CSV, - is stdout; or a .parquet file.")
    ] = None,
    ignore_extra: Annotated[
        bool, typer.Option("--ignore-extra", help="Allow columns that the network does not read.")
    ] = False,
    append: Annotated[bool, typer.Option("--append", help="Write the outputs after the columns of the rows.")] = False,
    top_k: Annotated[int, typer.Option("--top-k", min=0, help="Tell so many of the most probable classes.")] = 0,
    as_json: Json = False,
) -> None:
    """Compute a network's outputs; with --csv and --out, of a table of any size."""
    if csv is not None and rows is None and out is not None:
        with client_of(context) as client:
            bulk.predict_table(client, name, csv, out, version=version, ignore_extra=ignore_extra, append=append)
        return
    if ignore_extra or append:
        raise typer.BadParameter("needs --csv and --out", param_hint="--append" if append else "--ignore-extra")
    with client_of(context) as client:
        given = reading.read_rows(rows, csv, lambda: reading.features_of(client, name, version))
        prediction = client.predict(name, given, version=version, top_k=top_k)
    if out is not None:
        with writing.open_out(out, prediction.output_names, labels=bool(prediction.labels)) as write:
            write(prediction, None)
    elif as_json:
        output.print_json(prediction)
    else:
        output.print_prediction(prediction)


@app.command()
def trace(
    context: typer.Context,
    name: Name,
    rows: Rows = None,
    csv: Csv = None,
    version: Version = "",
    row: Annotated[int, typer.Option(min=0, help="Which row to draw, from 0.")] = 0,
    layer: Annotated[list[str] | None, typer.Option(help="Show only this layer; may be repeated.")] = None,
    contributions: Annotated[
        bool, typer.Option("--contributions", help="Show what each input contributes to each node.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Compute a network's outputs and show every node on the way."""
    with client_of(context) as client:
        given = reading.read_rows(rows, csv, lambda: reading.features_of(client, name, version))
        traced = client.trace(name, given, version=version, layers=layer or (), contributions=contributions)
    if as_json:
        output.print_json(traced)
        return
    if row >= len(traced.outputs):
        raise typer.BadParameter(f"there are {len(traced.outputs)} rows, counted from 0", param_hint="--row")
    unicode = (sys.stdout.encoding or "").lower().startswith("utf")
    width = max(40, shutil.get_terminal_size((100, 24)).columns)
    print(render.text(traced, row=row, width=width, ascii_only=not unicode))
    output.print_warnings(traced)


@alias_app.command("set")
def alias_set(
    context: typer.Context,
    name: Name,
    alias: Annotated[str, typer.Argument(metavar="ALIAS")],
    version: Annotated[str, typer.Argument(metavar="VERSION", help="A number, or an alias that names it now.")],
    as_json: Json = False,
) -> None:
    """Let an alias name a version; move it if it exists."""
    with client_of(context) as client:
        network = client.set_alias(name, alias, version)
    say(as_json, network, f"{name} {alias} = {network.aliases[alias]}")


@alias_app.command("delete")
def alias_delete(
    context: typer.Context,
    name: Name,
    alias: Annotated[str, typer.Argument(metavar="ALIAS")],
    as_json: Json = False,
) -> None:
    """Delete an alias."""
    with client_of(context) as client:
        network = client.delete_alias(name, alias)
    say(as_json, network, f"{name} has no alias {alias} any more")


@app.command()
def delete(
    context: typer.Context,
    name: Name,
    version: Annotated[int | None, typer.Option(help="Delete only the version of this number.")] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Delete a network, or one version of it."""
    what = f"network {name} with all versions" if version is None else f"version {version} of network {name}"
    if not yes:
        if not sys.stdin.isatty():
            raise typer.BadParameter("is needed where nobody can be asked", param_hint="--yes")
        typer.confirm(f"Delete {what}?", abort=True)
    with client_of(context) as client:
        if version is None:
            revision = client.delete_network(name)
            say(as_json, {"revision": revision}, f"deleted {what}")
        else:
            network = client.delete_version(name, version)
            say(as_json, network, f"deleted {what}")


@app.command()
def watch(
    context: typer.Context,
    prefix: Annotated[str, typer.Argument(metavar="[PREFIX]", help="Only networks whose names begin so.")] = "",
    as_json: Json = False,
) -> None:
    """Print every network, then each change as it happens, until interrupted."""
    with client_of(context) as client:
        for change in client.watch(prefix=prefix):
            if as_json:
                output.print_json(change, lines=True)
            else:
                latest = f" latest = {change.network.latest_version}" if change.network else ""
                print(f"{change.revision:>6}  {change.event:<8} {change.name}{latest}", flush=True)


def run() -> NoReturn:
    """Run the command line; end with the exit code that docs/reference/cli.md gives for what happened."""
    try:
        code: Any = app(standalone_mode=False)
    except typer.Abort:
        code = 130
    except typer.Exit as ended:
        code = ended.exit_code
    except errors.ForwardpassError as error:
        print(f"forwardpass: {error}", file=sys.stderr)
        code = next((code for kind, code in EXIT_CODES.items() if isinstance(error, kind)), 1)
    except BrokenPipeError:
        # Whoever read has enough; Python would complain again when it closes the stream.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except KeyboardInterrupt:
        code = 130
    except Exception as error:  # noqa: BLE001 - no traceback for whoever typed
        if hasattr(error, "show") and hasattr(error, "exit_code"):  # click's own, for what was typed wrongly
            error.show()
            raise SystemExit(error.exit_code) from None
        print(f"forwardpass: {error!r}: this is a bug, please report it", file=sys.stderr)
        if os.environ.get("FORWARDPASS_DEBUG"):
            traceback.print_exc()
        code = 5
    raise SystemExit(code or 0)
