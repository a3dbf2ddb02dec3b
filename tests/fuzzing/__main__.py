"""Fuzz the decoders of content that others send: `make fuzz`, or `python -m tests.fuzzing json rest --seconds 600`.

Runs `tests.fuzzing.inside` in an environment of its own, `.venv-fuzzing`, which is made where it is missing.
"""

import os
import subprocess
import sys

from tests.fuzzing.environments import ATHERIS
from tests.support.environments import ROOT, NotInstallableError, made


def main() -> int:
    """Run the command line; return its exit code."""
    try:
        python = made(ATHERIS) / "bin" / "python"
    except NotInstallableError as error:
        print(f"the fuzzer cannot be installed here: {error}", file=sys.stderr)
        return 1
    # Its threads would not live on in the process of each decoder.
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    command = [str(python), "-m", "tests.fuzzing.inside", *sys.argv[1:]]
    return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
