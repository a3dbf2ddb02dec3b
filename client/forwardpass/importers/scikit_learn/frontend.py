"""Reads a fitted scikit-learn model into a source."""

import warnings
from collections.abc import Callable, Iterator, Mapping
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
    labels = tuple(map(str, np.asarray(model.classes_).tolist())) if _is_classifier(model) else ()
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
        notes=_notes(model),
    )


def _predictor(model: Any, categories: Mapping[int, Category]) -> Callable[[Array], Array]:
    is_classifier = _is_classifier(model)
    compute_outputs = model.predict_proba if is_classifier else getattr(model, "predict", None) or model.transform
    names = getattr(model, "feature_names_in_", None)

    def compute(rows: Array) -> Array:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=RuntimeWarning)  # overflow in the far rows
            warnings.filterwarnings("ignore", message="Found unknown categories")  # `handle_unknown` encodes them
            warnings.filterwarnings("ignore", message="Skipping features without any observed values")
            table = _table(rows, names, categories)
            outputs = compute_outputs(table)
        dense = outputs.toarray() if hasattr(outputs, "toarray") else outputs
        numbers = np.asarray(dense, dtype=np.float64).reshape(len(rows), -1)
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


def _is_classifier(model: Any) -> bool:
    """Return whether the outputs are probabilities; a `TargetEncoder` knows classes, and predicts none."""
    return hasattr(model, "classes_") and hasattr(model, "predict")


def _computing(model: Any) -> Iterator[Any]:
    """Yield a model, and each within it that computes its outputs."""
    yield model
    while (kind := type(model).__name__) == "Pipeline" or kind in WRAPPERS:
        model = model.steps[-1][1] if kind == "Pipeline" else getattr(model, WRAPPERS[kind])
        yield model


def _notes(model: Any) -> tuple[str, ...]:
    """Return a sentence about a threshold, which is no part of the network."""
    for inner in _computing(model):
        kind = type(inner).__name__
        if kind in {"FixedThresholdClassifier", "TunedThresholdClassifierCV"}:
            return (f"the network has the probabilities of {kind}; {_threshold(inner)}",)
    return ()


def _threshold(model: Any) -> str:
    """Return what a caller does in place of a threshold."""
    found = model.best_threshold_ if hasattr(model, "best_threshold_") else model.threshold
    if model.response_method == "decision_function":
        return f"its threshold is of other scores, those of decision_function ({found})"
    scorer = getattr(model, "_curve_scorer", None)
    positive = getattr(model, "pos_label", None) if scorer is None else scorer._get_pos_label()  # noqa: SLF001 - no other way
    threshold = "0.5" if isinstance(found, str) else f"{found:.6g}"
    if positive is not None and positive == model.classes_[0]:
        return (
            f"compare 1 minus them, the probabilities of {positive!r}, with the threshold {threshold} where they arrive"
        )
    return f"compare them with the threshold {threshold} where they arrive"


def _is_multilabel(model: Any) -> bool:
    """Return whether each output is an independent probability."""
    *_, model = _computing(model)
    kind = type(model).__name__
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
