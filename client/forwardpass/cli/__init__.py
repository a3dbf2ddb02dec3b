"""The command line, `forwardpass ...`; docs/reference/cli.md describes it. Needs the extra `cli`."""

import sys

from forwardpass.extras import MissingExtraError, require


def main() -> None:
    """Run the command line."""
    try:
        require("cli", needed_by="the command line")
    except MissingExtraError as error:
        print(f"forwardpass: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    from forwardpass.cli.app import run  # noqa: PLC0415 - needs the packages of the extra

    run()
