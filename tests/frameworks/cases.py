"""What every framework's cases are, and how one is measured; runs where the framework is installed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, TypeAlias

import numpy as np
from forwardpass.importers import Imported, import_model
from forwardpass.importers.sample_rows import read_sample_rows
from forwardpass_server.core import forward
from forwardpass_server.registry.compile import check_examples, compile_plan


@dataclass(frozen=True, kw_only=True)
class Case:
    """A model and rows that it is made for.

    Attributes:
        make: Makes and fits what `import_model` takes.
        predict: The prediction of the framework, as its users call it: `(rows, outputs)`. The rows
            are a DataFrame if those of the case are, else `(rows, inputs)` float64.
        rows: `(rows, inputs)`, or a DataFrame.
        tolerance: The largest relative difference in the model's own arithmetic.
        rounded: The same for the network in float32.
    """

    make: Callable[[], Any]
    predict: Callable[[Any, Any], Any]
    rows: Any
    tolerance: float = 1e-11
    rounded: float = 1e-3


Cases: TypeAlias = Mapping[str, Case]
"""A framework's cases by architecture; `tests.frameworks.NAME.cases.CASES`."""


@dataclass(frozen=True, kw_only=True)
class Figures:
    """The largest relative differences from the framework.

    Attributes:
        framework: Its name and version.
        architecture: The case's name.
        certificate: Of the certificate.
        core: Of the server's core, on the case's rows.
        rounded: Of the certificate in float32.
    """

    framework: str
    architecture: str
    certificate: float
    core: float
    rounded: float

    def __str__(self) -> str:
        """Return a row of a Markdown table."""
        numbers = (f"{number:.1e}" for number in (self.certificate, self.core, self.rounded))
        return f"| {' | '.join((self.framework, self.architecture, *numbers))} |"


def cases_of(name: str) -> Cases:
    """Return a framework's cases; the framework must be installed."""
    cases: Cases = import_module(f"tests.frameworks.{name}.cases").CASES
    return cases


def _sizes(theirs: Any) -> Any:
    """Return the size of each number, or the median size of its output if that is larger."""
    return np.maximum(np.abs(theirs), np.median(np.abs(theirs), axis=0) + np.finfo(np.float32).tiny)


def measure(architecture: str, case: Case) -> tuple[Figures, Imported]:
    """Import a case's model in its own arithmetic and in float32, and compare the server's core with the model too.

    Raises:
        ParityError: The network is no nearer than the case's tolerances.
        ExampleFailedError: The server's core does not compute an example of it.
    """
    model = case.make()
    imported = import_model(model, rows=case.rows, tolerance=case.tolerance)
    plan = compile_plan(imported.spec)
    check_examples(imported.spec, plan)
    inputs = imported.spec.inputs
    rows = read_sample_rows(case.rows, inputs.names, non_finite=True, features=inputs.features).astype(plan.dtype)
    given = case.rows if hasattr(case.rows, "columns") else rows.astype(np.float64)
    theirs = np.asarray(case.predict(model, given), dtype=np.float64)
    core = np.abs(forward(plan, rows) - theirs) / _sizes(theirs)
    assert core.max() <= case.tolerance, f"{architecture}: the server's core differs by {core.max():.1e}"
    rounded = import_model(model, rows=case.rows, dtype="float32", tolerance=case.rounded)
    check_examples(rounded.spec, compile_plan(rounded.spec))
    figures = Figures(
        framework=imported.certificate.framework,
        architecture=architecture,
        certificate=imported.certificate.relative,
        core=float(core.max()),
        rounded=rounded.certificate.relative,
    )
    return figures, imported
