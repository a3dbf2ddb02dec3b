"""Reads the steps of a model and collects every fault."""

from collections.abc import Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from forwardpass.importers.graph import INPUTS, PASS, GraphBuilder, TensorRef
from forwardpass.importers.input_constraints import InputConstraints
from forwardpass.importers.scikit_learn import unsupported
from forwardpass.importers.scikit_learn.calibration import CALIBRATED
from forwardpass.importers.scikit_learn.column_transformers import CHOICES, is_identity
from forwardpass.importers.scikit_learn.encoders import ENCODERS
from forwardpass.importers.scikit_learn.ensembles import ENSEMBLE_SCORERS, ENSEMBLES
from forwardpass.importers.scikit_learn.estimators import ESTIMATORS, SCORERS
from forwardpass.importers.scikit_learn.functions import ELEMENTWISE, powers
from forwardpass.importers.scikit_learn.imputers import IMPUTERS
from forwardpass.importers.scikit_learn.kernels import KERNEL_TRANSFORMERS
from forwardpass.importers.scikit_learn.piecewise import SPLINES
from forwardpass.importers.scikit_learn.pipeline_step import PipelineStep, Transform
from forwardpass.importers.scikit_learn.projections import MIXERS
from forwardpass.importers.scikit_learn.scalers import SCALERS
from forwardpass.importers.unsupported import UnsupportedError, unsupported_parts

if TYPE_CHECKING:
    from forwardpass.errors import Fault

TRANSFORMERS: Final[Mapping[str, Transform]] = MappingProxyType(
    {
        **SCALERS,
        **IMPUTERS,
        **ENCODERS,
        **CHOICES,
        **MIXERS,
        **KERNEL_TRANSFORMERS,
        **ELEMENTWISE,
        **SPLINES,
        "PowerTransformer": powers,
    }
)
"""By class; they stand before the last step of a pipeline, or alone."""

_LAST: Final[Mapping[str, Transform]] = MappingProxyType({**ESTIMATORS, **ENSEMBLES, **CALIBRATED})
_SCORING: Final[Mapping[str, Transform]] = MappingProxyType({**SCORERS, **ENSEMBLE_SCORERS})

WRAPPERS: Final[Mapping[str, str]] = MappingProxyType(
    {
        **dict.fromkeys(
            ("GridSearchCV", "RandomizedSearchCV", "HalvingGridSearchCV", "HalvingRandomSearchCV"), "best_estimator_"
        ),
        "FrozenEstimator": "estimator",
        **dict.fromkeys(
            ("RANSACRegressor", "SelfTrainingClassifier", "FixedThresholdClassifier", "TunedThresholdClassifierCV"),
            "estimator_",
        ),
    }
)
"""The attribute with the model that computes, by the class that wraps it."""


INVERTIBLE: Final = (*SCALERS, *ELEMENTWISE)
"""Classes of transformers that have an inverse."""


class ModelReader:
    """Reader of one model.

    Attributes:
        graph: The builder of the layers.
        inputs: The constraints on the inputs.
        faults: The faults so far.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        self.graph = GraphBuilder()
        self.faults: list[Fault] = []
        self.inputs = InputConstraints({INPUTS: _width(model)})

    def read(self) -> TensorRef:
        """Read the whole model, and return its outputs.

        Raises:
            UnsupportedModelError: Something in it cannot be expressed.
        """
        try:
            outputs = self._whole(self.graph.add_inputs(len(self.inputs.mean)))
        except UnsupportedError:
            outputs = None
        if outputs is None or self.faults:
            raise unsupported_parts(self.faults)
        return outputs

    def _whole(self, values: TensorRef) -> TensorRef:
        """Return the outputs of the model, whose last step may be a transformer too."""
        outputs = self._last(self._model, "model", values, {**TRANSFORMERS, **_LAST})
        if any(map(self.graph.is_input, outputs.sources)):
            return self.graph.add_layer("output", outputs, **PASS)
        return self.graph.materialize(outputs, "output")

    def estimate(self, model: Any, path: str, values: TensorRef) -> TensorRef:
        """Return the outputs of an estimator, or of a pipeline that ends with one.

        Raises:
            UnsupportedError: It cannot be expressed.
        """
        return self._last(model, path, values, _LAST)

    def decide(self, model: Any, path: str, values: TensorRef) -> TensorRef:
        """Return the scores of a classifier (`decision_function`), where it has them; else its probabilities.

        Raises:
            UnsupportedError: It cannot be expressed.
        """
        return self._last(model, path, values, _SCORING if hasattr(model, "decision_function") else _LAST)

    def _last(self, model: Any, path: str, values: TensorRef, known: Mapping[str, Transform]) -> TensorRef:
        """Return the outputs of an estimator of the known classes, or of a pipeline that ends with one."""
        step = self._step(model, path, "")
        values = self._fitting(step, values)
        if step.kind == "Pipeline":
            *before, (index, name, last) = _steps(model)
            values = self._chain(before, path, "", values)
            return self._last(last, _place(path, index, name), values, known)
        if step.kind in WRAPPERS:
            attribute = WRAPPERS[step.kind]
            step.check_fitted(attribute)
            return self._last(getattr(model, attribute), f"{path}.{attribute}", values, known)
        if step.kind not in known:
            step.reject(unsupported.of_estimator(step.kind))
        return known[step.kind](step, values)

    def transform(self, model: Any, path: str, name: str, values: TensorRef) -> TensorRef:
        """Return the outputs of a transformer, or of a pipeline of transformers.

        Raises:
            UnsupportedError: It cannot be expressed.
        """
        step = self._step(model, path, name)
        values = self._fitting(step, values)
        if step.kind == "Pipeline":
            return self._chain(_steps(model), path, name, values)
        if step.kind not in TRANSFORMERS:
            step.reject(unsupported.of_transformer(step.kind, ", ".join(TRANSFORMERS)))
        return TRANSFORMERS[step.kind](step, values)

    def invertible(self, model: Any, path: str) -> PipelineStep:
        """Return a step that has an inverse.

        Raises:
            UnsupportedError: It has none.
        """
        step = self._step(model, path, "")
        if step.kind not in INVERTIBLE:
            step.reject(unsupported.of_target(", ".join(INVERTIBLE)))
        return step

    def _chain(self, steps: list[tuple[int, str, Any]], path: str, prefix: str, values: TensorRef) -> TensorRef:
        """Return the outputs of transformers in a row; all are read, so that every fault is reported."""
        for index, name, model in steps:
            if is_identity(model):
                continue
            hint = f"{prefix}_{name}" if prefix else name
            with suppress(UnsupportedError):
                values = self.transform(model, _place(path, index, name), hint, values)
        return values

    def _fitting(self, step: PipelineStep, values: TensorRef) -> TensorRef:
        """Return values of the width that a step reads; placeholders where a step before it was rejected."""
        width = getattr(step.model, "n_features_in_", values.size)
        if width == values.size:
            return values
        if not self.faults:
            step.reject(f"reads {width} columns, and is given {values.size}; fit them as a whole")
        return self.graph.add_inputs(width, self.graph.free_name("unread"))

    def _step(self, model: Any, path: str, name: str) -> PipelineStep:
        """Return a step; reject a class from outside scikit-learn."""
        kind = type(model)
        step = PipelineStep(model=model, kind=kind.__name__, path=path, name=name, reader=self)
        if not kind.__module__.startswith("sklearn."):
            trees = kind.__module__.partition(".")[0] in {"xgboost", "lightgbm", "catboost"}
            own = f"is no class of scikit-learn's own, and may compute anything; {unsupported.ESTIMATORS}"
            step.reject(unsupported.of_estimator(step.kind) if trees else own)
        return step


def _steps(model: Any) -> list[tuple[int, str, Any]]:
    """Return the index, name and object of each step of a pipeline."""
    return [(index, name, step) for index, (name, step) in enumerate(model.steps)]


def _place(path: str, index: int, name: str) -> str:
    return f"{path}.steps[{index}] ({name})"


def _width(model: Any) -> int:
    """Return the number of inputs that a model reads; any number for an unfitted model, which is rejected later."""
    found = getattr(model, "n_features_in_", None)
    if found is None and hasattr(model, "steps"):
        return next((width for _, step in model.steps if (width := _width(step)) > 1), 1)
    return 1 if found is None else int(found)
