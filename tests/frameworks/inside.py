"""Measure one framework's cases: `python -m tests.frameworks.inside NAME`, in the framework's own environment.

Prints the figures of each case as a line of JSON, as soon as it has them; the traceback of each that fails.
"""

import json
import sys
import traceback
from dataclasses import asdict

from threadpoolctl import threadpool_limits

from tests.frameworks.cases import cases_of, measure


def main(name: str) -> None:
    threadpool_limits(1, user_api="blas")  # as the server does
    failed = False
    for architecture, case in cases_of(name).items():
        try:
            figures, _ = measure(architecture, case)
            print(json.dumps(asdict(figures)), flush=True)
        except Exception:  # noqa: BLE001 - whatever it is, the next case is measured too
            print(f"{name}: {architecture}", file=sys.stderr)
            traceback.print_exc()
            failed = True
    if failed:
        sys.exit(1)


if __name__ == "__main__":
    main(*sys.argv[1:])
