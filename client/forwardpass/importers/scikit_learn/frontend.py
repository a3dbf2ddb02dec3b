"""Reads a fitted scikit-learn model into a source."""

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from forwardpass.importers.input_constraints import Category, with_texts
from forwardpass.importers.scikit_learn.ensembles import ENSEMBLES
from forwardpass.importers.scikit_learn.model_reader import WRAPPERS, ModelReader
from forwardpass.importers.source import Source
from forwardpass.tensors import Array


def read(model: Any) -> Source:
    """Read a fitted model.

    Raises:
        UnsupportedModelError: Something in it cannot be expressed; `faults` has each place.
    """
    import sklearn  # noqa: PLC0415 - the caller has imported it

    reader = ModelReader(model)
    outputs = reader.read()
    constraints = reader.inputs
    is_multilabel = _is_multilabel(model)
    labels = tuple(map(str, np.asarray(getattr(model, "classes_", ())).tolist()))
    names = labels[1:] if len(labels) == 2 else labels
    if is_multilabel:
        names = tuple(f"label_{label}" for label in labels)
    return Source(
        framework=f"scikit-learn {sklearn.__version__}",
        model=_described(model),
        width=len(constraints.mean),
        names=tuple(map(str, getattr(model, "feature_names_in_", ()))),
        mean=constraints.mean if constraints.mean.any() else None,
        scale=constraints.scale if (constraints.scale != 1).any() else None,
        layers=tuple(reader.graph.layers),
        outputs=names,
        classes=() if is_multilabel else labels,
        compute=_predictor(model, constraints.categories),
        output_layers=outputs.sources,
        sampler=None if constraints.is_plain else constraints.sample,
        features=constraints.feature_documents(),
    )


def _predictor(model: Any, categories: Mapping[int, Category]) -> Callable[[Array], Array]:
    is_classifier = hasattr(model, "classes_")
    names = getattr(model, "feature_names_in_", None)

    def compute(rows: Array) -> Array:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=RuntimeWarning)  # overflow in the far rows
            warnings.filterwarnings("ignore", message="Found unknown categories")  # `handle_unknown` encodes them
            warnings.filterwarnings("ignore", message="Skipping features without any observed values")
            table = _table(rows, names, categories)
            outputs = model.predict_proba(table) if is_classifier else model.predict(table)
        numbers = np.asarray(outputs, dtype=np.float64).reshape(len(rows), -1)
        return numbers[:, 1:] if is_classifier and len(model.classes_) == 2 and numbers.shape[1] == 2 else numbers

    return compute


def _table(rows: Array, names: Any, categories: Mapping[int, Category]) -> Any:
    """Return rows in the form that the model was fitted on: with column names if it has some, and with texts."""
    table = with_texts(rows, categories)
    if names is None:
        return table
    import pandas as pd  # noqa: PLC0415 - only models with column names need it

    frame = pd.DataFrame(table, columns=names)
    numbers = [name for column, name in enumerate(names) if column not in categories]
    return frame.astype(dict.fromkeys(numbers, np.float64))


def _is_multilabel(model: Any) -> bool:
    """Return whether each output is an independent probability."""
    while (kind := type(model).__name__) == "Pipeline" or kind in WRAPPERS:
        model = model.steps[-1][1] if kind == "Pipeline" else getattr(model, WRAPPERS[kind])
    if kind == "OneVsRestClassifier":
        return bool(model.multilabel_)
    is_sigmoid = getattr(model, "out_activation_", "") == "logistic"
    return kind == "MLPClassifier" and is_sigmoid and model.n_outputs_ > 1


def _described(model: Any) -> str:
    """Return the parts of a model as a text, for example `Pipeline(StandardScaler, MLPClassifier)`."""
    kind = type(model).__name__
    parts: tuple[Any, ...] = ()
    if kind == "Pipeline":
        parts = tuple(step for _, step in model.steps)
    elif kind == "ColumnTransformer":
        parts = tuple(part for _, part, _ in model.transformers_)
    elif kind == "FeatureUnion":
        parts = tuple(part for _, part in model.transformer_list)
    elif kind in WRAPPERS:
        parts = (getattr(model, WRAPPERS[kind]),)
    elif kind in ENSEMBLES and hasattr(model, "estimators_"):
        parts = tuple(model.estimators_)
    elif kind == "TransformedTargetRegressor":
        parts = model.regressor_, model.transformer_
    said = [_described(part) for part in parts if part is not None and not isinstance(part, str)]
    return f"{kind}({', '.join(said)})" if parts else kind
