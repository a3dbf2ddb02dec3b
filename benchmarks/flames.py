"""Draw the flame graphs of docs/explanation/performance.md: `python -m benchmarks.flames`.

py-spy samples the server's threads some hundred times a second while h2load calls it; waiting threads do not count.
Code outside Python, such as the transport of engine native, is not in the picture.
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
"""Calls in flight on each of four connections, for one picture each."""

SAMPLES_PER_SECOND: Final = 400


def flame(lab: Lab, streams: int, path: Path) -> None:
    """Write the flame graph of a server under one-row Predicts as an SVG."""
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
        command += ["--rate", str(SAMPLES_PER_SECOND), "--threads", "--function", "--nonblocking"]
        with subprocess.Popen(pinned(LOAD_CORE, *command), stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as spy:
            load(lab, server.address, PREDICT, networks.request(networks.MIDDLE), streams=streams)
            said, _ = spy.communicate(timeout=60)
        if spy.returncode:
            raise RuntimeError(f"py-spy: {said.decode().strip()}")
    title = (
        f"Python of the server, engine {lab.engine}: Predict, one row, {networks.label(networks.MIDDLE)}, 4 x {streams}"
    )
    path.write_text(with_title(path.read_text(), title))


def with_title(picture: str, title: str) -> str:
    """Replace the title of py-spy's SVG, which is its command line with paths of the machine.

    Raises:
        ValueError: The SVG is not from py-spy.
    """
    text, count = re.subn(r'(<text id="title"[^>]*>)[^<]*', lambda found: found[1] + title, picture)
    if count != 1:
        raise ValueError(f"the picture has {count} titles and not one: another version of py-spy?")
    return text


def main() -> None:
    """Run the command line."""
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
