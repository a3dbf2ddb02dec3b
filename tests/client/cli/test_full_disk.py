"""Files and output that cannot be written, as on a full disk: a sentence, exit code 1, and the old file as it was."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is of Linux")

WRITES = """if True:
    import resource
    import sys
    from pathlib import Path

    import numpy as np
    from forwardpass import render, spec
    from forwardpass.cli import pictures, writing
    from forwardpass.errors import InvalidFieldError
    from forwardpass.models import Prediction

    network = spec.parse({"format": spec.FORMAT, "inputs": 1, "layers": [{"weights": [[1]]}]})
    prediction = Prediction(
        network="n", version=1, digest="", outputs=np.zeros((99_999, 1)), output_names=("o",), numerics="exact"
    )

    def write_table(path):
        with writing.open_out(path, ["o"], labels=False) as write:
            write(prediction, None)
            write(prediction, None)

    picture = render.draw_network(network)
    writers = {
        "table.csv": write_table,
        "table.parquet": write_table,
        "network.json": lambda path: writing.write_network(path, network),
        "picture.svg": lambda path: pictures.write(picture, path, "light"),
        "folder.json": lambda path: writing.write_network(path, network),
        "/dev/full": write_table,
    }
    import pyarrow.parquet

    # Python ignores the signal, so that a write fails with EFBIG, as it fails with ENOSPC on a full disk.
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    for path, write in writers.items():
        try:
            write(path)
            print(path, "was written")
        except InvalidFieldError as error:
            print(error)
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))  # what measures coverage writes at the end
"""


def test_files(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("old")
    (tmp_path / "folder.json").mkdir()
    ran = subprocess.run(
        [sys.executable, "-c", WRITES], cwd=tmp_path, capture_output=True, text=True, timeout=180, check=False
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.splitlines() == [
        *(
            f"{name}: cannot be written: File too large"
            for name in ("table.csv", "table.parquet", "network.json", "picture.svg")
        ),
        "folder.json: cannot be written: Is a directory",
        "/dev/full: cannot be written: No space left on device",
    ]
    assert sorted(tmp_path.iterdir()) == [tmp_path / "folder.json", tmp_path / "table.csv"]
    assert (tmp_path / "table.csv").read_text() == "old"


def test_standard_output() -> None:
    with Path("/dev/full").open("w") as full:
        ran = subprocess.run(
            [sys.executable, "-m", "forwardpass", "--version"],
            stdout=full,
            stderr=subprocess.PIPE,
            env=os.environ,
            text=True,
            timeout=180,
            check=False,
        )
    assert (ran.returncode, ran.stderr) == (
        1,
        "forwardpass: standard output cannot be written: No space left on device\n",
    )
