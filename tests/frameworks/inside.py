"""Measure one framework's cases: `python -m tests.frameworks.inside NAME`, in the framework's own environment.

Prints the figures of each case as a line of JSON, as soon as it has them.
"""

import json
import sys
from dataclasses import asdict

from threadpoolctl import threadpool_limits

from tests.frameworks.cases import cases_of, measure


def main(name: str) -> None:
    threadpool_limits(1, user_api="blas")  # as the server does
    for architecture, case in cases_of(name).items():
        figures, _ = measure(architecture, case)
        print(json.dumps(asdict(figures)), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
