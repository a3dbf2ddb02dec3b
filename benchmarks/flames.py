"""Draw the flame graphs of docs/explanation/performance.md: `python -m benchmarks.flames`.

py-spy looks at the server's threads some hundred times a second while h2load calls it; a thread that waits does not
count. What runs outside Python, as the transport of engine native does, has no part in the picture.
"""

import argparse
import re
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from benchmarks import needs, networks
from benchmarks.lab import LOAD_CORE, Lab, pinned
from benchmarks.load import load
from benchmarks.report import PLOTS
from benchmarks.server import PREDICT, Server

STREAMS: Final = (1, 16)
"""Calls in flight on each of four connections; every one is a picture."""

LOOKS_PER_SECOND: Final = 400


def flame(lab: Lab, streams: int, path: Path) -> None:
    """Draw a server under Predict with one row as an SVG."""
    with Server(lab, networks.MIDDLE) as server:
        seconds = str(lab.seconds - 1)
        command = [
            str(needs.py_spy()),
            "record",
            "--pid",
            str(server.pid),
            "--output",
            str(path),
            "--duration",
            seconds,
        ]
        command += ["--rate", str(LOOKS_PER_SECOND), "--threads", "--function", "--nonblocking"]
        with subprocess.Popen(pinned(LOAD_CORE, *command), stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as spy:
            load(lab, server.address, PREDICT, networks.request(networks.MIDDLE), streams=streams)
            said, _ = spy.communicate(timeout=60)
        if spy.returncode:
            raise RuntimeError(f"py-spy: {said.decode().strip()}")
    title = (
        f"Python of the server, engine {lab.engine}: Predict, one row, {networks.title(networks.MIDDLE)}, 4 x {streams}"
    )
    path.write_text(titled(path.read_text(), title))


def titled(picture: str, title: str) -> str:
    """Return an SVG of py-spy with another title than its command line, which has the machine's paths in it.

    Raises:
        ValueError: It is none of py-spy's.
    """
    text, count = re.subn(r'(<text id="title"[^>]*>)[^<]*', lambda found: found[1] + title, picture)
    if count != 1:
        raise ValueError(f"the picture has {count} titles and not one: another version of py-spy?")
    return text


def main() -> None:
    """Draw all of them."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.flames", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--engine", choices=("native", "grpcio"), default="native", help="the server's engine")
    parser.add_argument("--seconds", type=int, default=20, metavar="N", help="for each (default: %(default)s)")
    parser.add_argument("--folder", type=Path, default=PLOTS, help="where to write (default: %(default)s)")
    options = parser.parse_args()
    if lacking := needs.missing([needs.PY_SPY, *needs.LOAD, *needs.engine(options.engine)]):
        parser.error(lacking)
    with tempfile.TemporaryDirectory() as folder:
        lab = Lab(folder=Path(folder), engine=options.engine, seconds=options.seconds)
        for streams in STREAMS:
            path = options.folder / f"flame-{options.engine}-4x{streams}.svg"
            flame(lab, streams, path)
            print(f"written: {path}")


if __name__ == "__main__":
    main()
