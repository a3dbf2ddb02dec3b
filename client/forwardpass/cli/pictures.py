"""The command draw, and pictures as files for other commands."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from forwardpass import render
from forwardpass.cli import output, reading, writing
from forwardpass.cli.common import Version, client_of
from forwardpass.extras import extra_of, require
from forwardpass.render.picture import SUFFIXES

Out = Annotated[str | None, typer.Option("--out", metavar="FILE", help="Draw to a .svg, .png or .txt file.")]
Theme = Annotated[
    Literal["auto", "light", "dark"],
    typer.Option("--theme", help="Of a picture in a file; auto follows the reader's setting."),
]


def add_to(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(draw)


def draw(
    context: typer.Context,
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME|FILE", help="A network's name; or a spec: .json, .safetensors or an exported .py."
        ),
    ],
    out: Out = None,
    version: Version = "",
    theme: Theme = "auto",
) -> None:
    """Draw a network with its weights."""
    if out is not None:
        check_out(out)
    if Path(name).suffix.lower() in {".json", ".safetensors", ".py"}:
        if version:
            raise typer.BadParameter("is for a network of the server, not for a file", param_hint="--version")
        picture = render.draw_network(reading.read_spec(name), title=Path(name).name)
    else:
        with client_of(context) as client:
            info = client.version(name, version=version)
            network = client.spec(name, version=str(info.number))
        picture = render.draw_network(network, title=f"{name} version {info.number}")
    if out is None:
        output.echo(picture.text(width=output.terminal_width(), ascii_only=not output.is_unicode()), lines=True)
    else:
        write(picture, out, theme)


def check_out(path: str, others: tuple[str, ...] = ()) -> None:
    """Check that a picture can be written to a file of this name, before any work is done.

    Args:
        path: The name of the file.
        others: Suffixes that the command accepts for what is no picture, named by the error.

    Raises:
        BadParameter: The suffix is that of no picture.
        MissingExtraError: The extra that draws it is not installed.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        known = (*SUFFIXES, *others)
        raise typer.BadParameter(f"must end in {', '.join(known[:-1])} or {known[-1]}", param_hint="--out")
    if suffix == ".png":
        require(extra_of("resvg_py"), needed_by="a picture as PNG")


def write(picture: render.Picture, path: str, theme: render.Theme) -> None:
    """Write a picture to a file, and say so."""
    content = picture.encode(Path(path).suffix, theme=theme)
    with writing.open_whole(path) as file:
        file.write(content)
    output.echo(path)
