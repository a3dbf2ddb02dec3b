"""The command line, `forwardpass ...`; docs/reference/cli.md describes it. Needs the extra `cli`."""

import sys


def main() -> None:
    """Run the command line."""
    try:
        import rich  # noqa: F401, PLC0415 - to say what is missing
        import typer  # noqa: F401, PLC0415
    except ModuleNotFoundError as missing:
        print(
            f"forwardpass: the command line needs {missing.name}; install it with: pip install 'forwardpass[cli]'",
            file=sys.stderr,
        )
        raise SystemExit(2) from None
    from forwardpass.cli.app import run  # noqa: PLC0415

    run()
