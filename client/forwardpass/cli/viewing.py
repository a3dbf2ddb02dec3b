"""The command that serves the page: view."""

import asyncio
from typing import Annotated, Final

import typer

from forwardpass._transport.endpoint import Endpoint, endpoint
from forwardpass.cli import output
from forwardpass.cli.common import connection_options
from forwardpass.extras import require
from forwardpass.listening import ListenError, is_host_and_port, is_loopback

_STOP_SECONDS: Final = 3.0
"""Seconds in which responses that are being sent may end."""


def add_to(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command()(view)


def view(
    context: typer.Context,
    listen: Annotated[
        str, typer.Option("--listen", metavar="HOST:PORT", help="Where to serve the page; port 0 takes a free one.")
    ] = "127.0.0.1:0",
) -> None:
    """Serve a page that shows the server's networks and every node, until it is interrupted."""
    require("view", needed_by="forwardpass view")
    if not is_host_and_port(listen):
        raise typer.BadParameter("must be HOST:PORT, with a port from 0 to 65535", param_hint="--listen")
    options = connection_options(context)
    if options.token is not None and not is_loopback(listen):
        raise typer.BadParameter(
            "must be on loopback, for example 127.0.0.1:0, with a token: all who reach the page would have its "
            "rights; without --token, each of them enters a token of their own",
            param_hint="--listen",
        )
    server = endpoint(
        options.target, timeout=options.timeout, token=options.token, tls=options.tls, allow_insecure_token=False
    )
    try:
        asyncio.run(_serve(server, listen))
    except ListenError as error:
        raise typer.BadParameter(str(error), param_hint="--listen") from None


async def _serve(server: Endpoint, listen: str) -> None:
    from forwardpass.view import ViewServer  # noqa: PLC0415 - needs the packages of the extra

    page = ViewServer(server, listen, name=server.address)
    url = await page.start()
    output.echo(f"forwardpass view ready on {url}/ for {server.address}")
    try:
        await asyncio.Event().wait()
    finally:
        await page.stop(_STOP_SECONDS)
