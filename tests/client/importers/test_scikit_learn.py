"""scikit-learn's models as networks, compared with scikit-learn by the importer and by the server's core."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import skops.io
from forwardpass import spec
from forwardpass.errors import InvalidTensorError, NonFiniteInputError
from forwardpass.importers import UnsupportedModelError, import_model
from forwardpass.importers.model_loader import load_object
from forwardpass_server.core import forward
from forwardpass_server.registry.compile import check_examples, compile_plan
from sklearn import datasets
from sklearn.base import BaseEstimator, is_classifier
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.cross_decomposition import PLSRegression
from sklearn.decomposition import PCA, FactorAnalysis, FastICA, IncrementalPCA, KernelPCA, SparsePCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import (
    AdaBoostClassifier,
    AdaBoostRegressor,
    BaggingClassifier,
    BaggingRegressor,
    GradientBoostingClassifier,
    RandomForestClassifier,
    StackingClassifier,
    StackingRegressor,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.impute import KNNImputer, MissingIndicator
from sklearn.kernel_approximation import Nystroem, RBFSampler
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import (
    LinearRegression,
    LogisticRegression,
    LogisticRegressionCV,
    Ridge,
    RidgeClassifier,
    SGDClassifier,
    SGDRegressor,
)
from sklearn.model_selection import FixedThresholdClassifier, GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import MultiOutputRegressor, RegressorChain
from sklearn.naive_bayes import BernoulliNB, ComplementNB, GaussianNB, MultinomialNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MinMaxScaler,
    Normalizer,
    OneHotEncoder,
    OrdinalEncoder,
    PowerTransformer,
    QuantileTransformer,
    SplineTransformer,
    StandardScaler,
    TargetEncoder,
)
from sklearn.random_projection import SparseRandomProjection
from sklearn.svm import SVC, SVR, LinearSVC
from sklearn.tree import DecisionTreeRegressor

from tests.frameworks import table
from tests.frameworks.cases import measure
from tests.frameworks.scikit_learn.cases import CANCER, CASES, DIABETES, IRIS, fitted


@pytest.mark.parametrize("architecture", CASES)
def test_the_network_agrees_with_the_model(architecture: str) -> None:
    case = CASES[architecture]
    figures, imported = measure(architecture, case)
    certificate = imported.certificate
    assert (certificate.given_rows, certificate.random_rows) == (len(case.rows), 1_000)
    assert len(imported.spec.examples) == 8
    print(figures)


def test_the_table_in_the_docs_has_every_case() -> None:
    measured = [place for place in table.places(table.rows()) if place[0] == "scikit-learn"]
    assert measured == [("scikit-learn", architecture) for architecture in CASES]


def test_names_and_labels_are_the_models_own() -> None:
    frame = pd.DataFrame(IRIS.x, columns=["sepal length", "sepal width", "petal length", "petal width"])
    names = np.array(["setosa", "versicolor", "virginica"])
    model = LogisticRegression(max_iter=500).fit(frame, names[IRIS.y])
    network = import_model(model, rows=frame).spec
    assert network.inputs.names == tuple(frame.columns)
    assert network.classes == network.outputs == tuple(names)
    shuffled = import_model(model, rows=frame[frame.columns[::-1]]).spec
    assert spec.digest(shuffled) == spec.digest(network)


def test_names_and_labels_may_be_given() -> None:
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(CANCER.x[:, :2], CANCER.y)
    network = import_model(
        model,
        features=[{"name": "radius", "unit": "mm"}, "texture"],
        classes=["malignant", "benign"],
        description="Tells tumours apart.",
        metadata={"data": "Wisconsin"},
        tags=["example"],
    ).spec
    assert (network.inputs.names, network.inputs.features[0].unit) == (("radius", "texture"), "mm")
    assert (network.classes, network.outputs) == (("malignant", "benign"), ("benign",))
    assert (network.description, network.metadata["data"], network.tags) == (
        "Tells tumours apart.",
        "Wisconsin",
        ("example",),
    )
    np.testing.assert_array_equal(network.inputs.mean, model[0].mean_)


def test_labels_that_may_hold_together_are_outputs_and_no_classes() -> None:
    network = import_model(CASES["MLPClassifier, multilabel"].make()).spec
    assert (network.classes, network.outputs) == ((), ("label_0", "label_1", "label_2"))


class Doubled(LinearRegression):  # type: ignore[misc] # scikit-learn has no types
    def predict(self, x: Any) -> Any:
        return 2 * super().predict(x)


def fake(name: str, module: str) -> Any:
    return type(name, (BaseEstimator,), {"__module__": module})()


ENCODED = ColumnTransformer(
    [
        ("squares", FunctionTransformer(np.arctan), [0]),
        ("ranks", make_pipeline(StandardScaler(), QuantileTransformer(n_quantiles=10)), [1]),
    ]
)
UNSUPPORTED: dict[str, tuple[Any, list[tuple[str, str]]]] = {
    "a step that is not read": (
        make_pipeline(StandardScaler(), KNNImputer(), Ridge()),
        [("model.steps[1] (knnimputer)", "KNNImputer is not supported: only StandardScaler")],
    ),
    "every step that is not read": (
        make_pipeline(KNNImputer(), ENCODED, KNeighborsClassifier()),
        [
            ("model.steps[0] (knnimputer)", "KNNImputer is not supported: only StandardScaler"),
            ("model.steps[1] (columntransformer).squares", "calls a function of Python"),
            ("model.steps[1] (columntransformer).ranks.steps[1]", "transform the rows by it before they are sent"),
            ("model.steps[2] (kneighborsclassifier)", "is not supported; supported are MLPClassifier"),
        ],
    ),
    "a target's scaler that clips": (
        TransformedTargetRegressor(LinearRegression(), transformer=MinMaxScaler(clip=True)),
        [("model.transformer_", "use clip=False")],
    ),
    "infrequent categories": (
        make_pipeline(FeatureUnion([("one", OneHotEncoder(min_frequency=20)), ("all", "passthrough")]), Ridge()),
        [("model.steps[0] (featureunion).one", "takes infrequent categories together")],
    ),
    "trees": (RandomForestClassifier(3), [("model", "is made of trees")]),
    "boosted trees": (GradientBoostingClassifier(n_estimators=2), [("model", "is made of trees")]),
    "a tree": (make_pipeline(DecisionTreeRegressor(max_depth=2)), [("model.steps[0]", "is made of trees")]),
    "a search over trees": (
        GridSearchCV(DecisionTreeRegressor(), {"max_depth": [1, 2]}),
        [("model.best_estimator_", "is made of trees")],
    ),
    "no probabilities": (RidgeClassifier(), [("model", "LogisticRegression and CalibratedClassifierCV do")]),
    "no probabilities of a vector machine": (LinearSVC(), [("model", "CalibratedClassifierCV do")]),
    "votes": (
        VotingClassifier([("first", LogisticRegression()), ("second", RidgeClassifier())]),
        [("model", "fit it with voting='soft'")],
    ),
    "every part of an ensemble": (
        VotingRegressor([("tree", DecisionTreeRegressor()), ("linear", Ridge()), ("same", DecisionTreeRegressor())]),
        [("model.estimators_[0]", "is made of trees"), ("model.estimators_[2]", "is made of trees")],
    ),
    "periodic splines": (
        make_pipeline(SplineTransformer(extrapolation="periodic"), Ridge()),
        [("model.steps[0] (splinetransformer)", "one of constant, linear, continue")],
    ),
    "boosted linear classifiers": (
        AdaBoostClassifier(LogisticRegression(), n_estimators=2),
        [("model", "counts the classes that its estimators choose; use VotingClassifier(voting='soft')")],
    ),
    "boosted linear regressors": (
        AdaBoostRegressor(Ridge(), n_estimators=2),
        [("model", "takes the median of its estimators, which sorts them; use a BaggingRegressor")],
    ),
    "a vector machine": (SVC(), [("model", "has scores, which a CalibratedClassifierCV around it makes")]),
    "calibrated pairs of classes": (
        CalibratedClassifierCV(SVC(), cv=2),
        [
            (f"model.calibrated_classifiers_[{fold}].estimator", "put a OneVsRestClassifier around it")
            for fold in (0, 1)
        ],
    ),
    "hinge loss": (SGDClassifier(), [("model", 'loss="log_loss"')]),
    "a custom class": (Doubled(), [("model", "Doubled is no class of scikit-learn's own")]),
    "a function with arguments": (
        make_pipeline(FunctionTransformer(np.square, kw_args={"where": True}), Ridge()),
        [("model.steps[0] (functiontransformer)", "without arguments, those of numpy are read: absolute, cos")],
    ),
    "a target by a function of Python": (
        TransformedTargetRegressor(LinearRegression(), func=np.tan, inverse_func=np.arctan, check_inverse=False),
        [("model.transformer_", "(inverse_func), which may compute anything")],
    ),
    "a target without an inverse": (
        TransformedTargetRegressor(LinearRegression(), transformer=PowerTransformer()),
        [("model.transformer_", "or import the model's `regressor_`")],
    ),
}


@pytest.mark.parametrize(("model", "faults"), UNSUPPORTED.values(), ids=UNSUPPORTED)
def test_an_unsupported_model_is_rejected_with_its_place(model: Any, faults: list[tuple[str, str]]) -> None:
    with pytest.raises(UnsupportedModelError) as caught:
        import_model(fitted(model, IRIS))
    assert len(caught.value.faults) == len(faults)
    for fault, (path, words) in zip(caught.value.faults, faults, strict=True):
        assert fault.path.startswith(path)
        assert words in fault.message


@pytest.mark.parametrize(
    ("column", "encoder", "words"),
    [
        ([1.0, 2.0, np.nan], OneHotEncoder(), "has NaN as a category of column 0"),
        ([1.0, 2.0, 2.0], MissingIndicator(), "has no column"),
        ([1.0, 2.0, 2.0], OrdinalEncoder(max_categories=1), "takes infrequent categories together"),
    ],
)
def test_unsupported_columns_are_rejected(column: Any, encoder: Any, words: str) -> None:
    frame = pd.DataFrame({"first": pd.Series(column * 5, dtype=object), "second": range(15)})
    frame["first"] = frame["first"] if isinstance(column[0], str) else frame["first"].astype(float)
    transformer = ColumnTransformer([("it", encoder, ["first"])], remainder="passthrough")
    model = make_pipeline(transformer, Ridge()).fit(frame, range(15))
    with pytest.raises(UnsupportedModelError, match=words):
        import_model(model)


def test_steps_that_were_not_fitted_together_are_rejected() -> None:
    model = make_pipeline(StandardScaler().fit(IRIS.x), Ridge().fit(DIABETES.x, DIABETES.y))
    with pytest.raises(UnsupportedModelError, match="reads 10 columns, and is given 4"):
        import_model(model)


def test_numbers_are_standardized_with_the_inputs_and_unknown_categories_become_nan() -> None:
    frame = datasets.load_diabetes(scaled=False, as_frame=True)
    encoder = ColumnTransformer([("kinds", OneHotEncoder(), ["sex"]), ("numbers", StandardScaler(), ["age", "bmi"])])
    network = import_model(make_pipeline(encoder, Ridge()).fit(frame.data, frame.target), rows=frame.data).spec
    features = {feature.name: feature for feature in network.inputs.features}
    assert features["age"].mean == pytest.approx(frame.data.age.mean())
    assert (features["sex"].mean, features["sex"].scale, features["s1"].scale) == (0, 1, 1)
    assert [layer.kind for layer in network.layers] == ["one_hot", "dense", "take", "dense"]
    row = frame.data.iloc[:1].to_numpy().repeat(2, axis=0)
    row[1, frame.data.columns.get_loc("sex")] = 3
    known, unknown = forward(compile_plan(network), row)
    assert np.isfinite(known).all()
    assert np.isnan(unknown).all()


def test_texts_become_categories_and_missing_values_are_allowed() -> None:
    case = CASES["columns of texts, some missing or unknown"]
    imported = import_model(case.make(), rows=case.rows)
    features = {feature.name: feature for feature in imported.spec.inputs.features}
    assert (features["sex"].categories, features["sex"].unknown) == (("female", "male"), "refuse")
    assert (features["size"].missing, features["size"].unknown) == (case.rows["size"].mode()[0], "refuse")
    assert (features["decade"].missing, features["decade"].unknown) == ("nan", "nan")
    assert (features["bp"].missing, features["age"].missing) == ("nan", "refuse")
    assert features["age"].scale == pytest.approx(case.rows.age.std(ddof=0))
    assert not imported.spec.allow_non_finite_inputs
    plan = compile_plan(imported.spec)
    check_examples(imported.spec, plan)
    assert any(None in example.inputs for example in imported.spec.examples)


@pytest.mark.parametrize(
    ("column", "value", "error", "words"),
    [
        ("sex", "neither", InvalidTensorError, "row 3 has 'neither' as 'sex', which is no category of it"),
        ("sex", None, NonFiniteInputError, "row 3 has nan as 'sex'"),
        ("age", None, NonFiniteInputError, "row 3 has nan as 'age'"),
    ],
)
def test_sample_rows_must_fit_the_features(column: str, value: Any, error: type[Exception], words: str) -> None:
    case = CASES["columns of texts, some missing or unknown"]
    rows = case.rows.astype(object)
    rows.loc[3, column] = value
    with pytest.raises(error, match=words):
        import_model(case.make(), rows=rows)


@pytest.mark.parametrize(
    "model",
    [
        MLPRegressor(),
        LinearRegression(),
        TransformedTargetRegressor(Ridge(), transformer=StandardScaler()),
        make_pipeline(StandardScaler(), LinearRegression().fit(DIABETES.x, DIABETES.y)),
    ],
    ids=["perceptron", "linear", "target", "scaler"],
)
def test_an_unfitted_model_is_rejected(model: Any) -> None:
    with pytest.raises(UnsupportedModelError, match="is not fitted"):
        import_model(model)


def test_trees_of_other_packages_and_other_objects_are_rejected() -> None:
    with pytest.raises(UnsupportedModelError, match="is made of trees"):
        import_model(fake("XGBClassifier", "xgboost.sklearn"))
    with pytest.raises(UnsupportedModelError, match=r"builtins\.dict cannot be imported"):
        import_model({})


def test_a_strategy_of_older_versions_that_has_other_probabilities_is_rejected() -> None:
    model = LogisticRegression().fit(CANCER.x[:, :2], CANCER.y)
    model.multi_class = "multinomial"
    with pytest.raises(UnsupportedModelError, match="without `multi_class`"):
        import_model(model)


def test_all_classes_are_equal_where_each_probability_is_zero() -> None:
    model = SGDClassifier(loss="log_loss").fit(IRIS.x, IRIS.y)
    model.intercept_[:] = -1e4
    network = import_model(model).spec
    outputs = forward(compile_plan(network), np.zeros((1, 4)))
    assert outputs.tolist() == model.predict_proba(np.zeros((1, 4))).tolist() == [[1 / 3] * 3]


def test_rows_are_made_where_a_function_has_values() -> None:
    model = make_pipeline(StandardScaler(), FunctionTransformer(np.log1p), Ridge())
    rows = np.random.default_rng(0).random((50, 3)) * 0.1 + 3
    with np.errstate(invalid="ignore"):
        model[0].fit(rows)
        model[0].mean_ = np.full(3, 2.0)
        model[1:].fit(model[0].transform(rows), rows.sum(axis=1))
    assert import_model(model).certificate.random_rows == 1_000


def test_sparse_weights_are_read() -> None:
    model = SGDRegressor(random_state=0).fit(StandardScaler().fit_transform(DIABETES.x), DIABETES.y).sparsify()
    assert import_model(model).certificate.relative <= 1e-11


class TestSkopsFiles:
    def test_a_saved_model_is_the_model(self, tmp_path: Path) -> None:
        model = make_pipeline(StandardScaler(), LogisticRegression()).fit(IRIS.x, IRIS.y)
        skops.io.dump(model, tmp_path / "iris.skops")
        found = import_model(load_object(str(tmp_path / "iris.skops")), rows=IRIS.x)
        assert spec.digest(found.spec) == spec.digest(import_model(model, rows=IRIS.x).spec)

    def test_a_type_that_may_run_code_is_named(self, tmp_path: Path) -> None:
        skops.io.dump(Doubled().fit(IRIS.x, IRIS.y), tmp_path / "own.skops")
        with pytest.raises(UnsupportedModelError, match=r"may run any code: .*Doubled; if you trust the file"):
            load_object(str(tmp_path / "own.skops"))

    def test_a_file_of_another_kind_is_rejected(self, tmp_path: Path) -> None:
        path = tmp_path / "model.skops"
        path.write_bytes(b"no archive")
        with pytest.raises(UnsupportedModelError, match="is no archive that can be read"):
            load_object(str(path))
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("other.json", "{}")
        with pytest.raises(UnsupportedModelError, match=r"has no schema\.json"):
            load_object(str(path))
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("schema.json", '{"__class__": "Ridge"}')
        with pytest.raises(UnsupportedModelError, match="cannot be read by skops"):
            load_object(str(path))

    def test_a_bomb_is_rejected_by_its_declared_size(self, tmp_path: Path) -> None:
        path = tmp_path / "bomb.skops"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("schema.json", bytes(2**26))
        with pytest.raises(UnsupportedModelError, match=r"schema\.json: has 67,108,864 bytes unpacked; at most"):
            load_object(str(path))


def test_every_class_in_the_tables_exists() -> None:
    import sklearn.linear_model
    import sklearn.svm
    from forwardpass.importers.scikit_learn.estimators import CLASSIFIERS, REGRESSORS

    known = {*dir(sklearn.linear_model), *dir(sklearn.svm), LinearDiscriminantAnalysis.__name__}
    assert known >= REGRESSORS | CLASSIFIERS
    assert isinstance(LogisticRegressionCV(), LogisticRegression)


MORE: dict[str, tuple[Any, ...]] = {
    "columns raised to their own powers": (PowerTransformer(), Ridge()),
    "positive columns raised to powers": (PowerTransformer(method="box-cox"), LogisticRegression()),
    "rows of length one": (Normalizer("l1"), Normalizer("max"), Normalizer(), Ridge()),
    "a radial kernel": (StandardScaler(), SVR()),
    "a kernel of powers": (StandardScaler(), KernelRidge(kernel="poly", degree=2)),
    "kernels of some rows": (StandardScaler(), Nystroem(n_components=8, random_state=0), Ridge()),
    "random waves": (StandardScaler(), RBFSampler(n_components=8, random_state=0), Ridge()),
    "factors": (FactorAnalysis(2), FastICA(2, random_state=0), Ridge()),
    "random directions": (SparseRandomProjection(4, random_state=0), IncrementalPCA(2), PLSRegression(1)),
    "a stack": (StackingRegressor([("a", Ridge()), ("b", SVR())], Ridge(), cv=2, passthrough=True),),
    "bags of columns": (BaggingRegressor(Ridge(), n_estimators=2, max_features=0.5, random_state=0),),
    "normal densities": (GaussianNB(),),
    "counts": (MinMaxScaler(), ComplementNB()),
    "flags and discriminants": (LinearDiscriminantAnalysis(), BernoulliNB()),
    "a stack of probabilities": (
        StackingClassifier([("a", LogisticRegression()), ("b", GaussianNB())], MultinomialNB(), cv=2),
    ),
    "bags of rows": (BaggingClassifier(LogisticRegression(), n_estimators=2, random_state=0),),
    "splines that end in lines": (SplineTransformer(3, degree=2, knots="quantile", extrapolation="linear"), Ridge()),
    "splines that go on": (PCA(2), SplineTransformer(3, extrapolation="continue", include_bias=False), Ridge()),
    "sparse directions, and kernels less their means": (
        SparsePCA(2, max_iter=5, random_state=0),
        KernelPCA(3, kernel="rbf"),
        LogisticRegression(),
    ),
    "scores against the rest": (CalibratedClassifierCV(OneVsRestClassifier(SVC()), cv=2),),
    "scores of a stack": (
        CalibratedClassifierCV(StackingClassifier([("a", GaussianNB())], LogisticRegression(), cv=2), cv=2),
    ),
    "stacked scores of bags": (
        StackingClassifier(
            [("a", BaggingClassifier(LogisticRegression(), n_estimators=2, random_state=0)), ("b", LinearSVC())],
            LogisticRegression(),
            stack_method="decision_function",
            cv=2,
        ),
    ),
    "steps of scores": (CalibratedClassifierCV(LogisticRegression(), method="isotonic", cv=2),),
    "scores by a temperature": (CalibratedClassifierCV(LogisticRegression(), method="temperature", cv=2),),
}


@pytest.mark.parametrize("steps", MORE.values(), ids=MORE)
def test_a_kernel_density_stack_or_projection_becomes_a_network(steps: tuple[Any, ...]) -> None:
    """The certificate compares a thousand rows with scikit-learn."""
    data = IRIS if is_classifier(steps[-1]) else DIABETES
    x, y = np.asarray(data.x)[::5], np.asarray(data.y)[::5]
    model = make_pipeline(*steps).fit(x, y)
    imported = import_model(model, rows=x[:8])
    plan = compile_plan(imported.spec)
    check_examples(imported.spec, plan)
    theirs = model.predict_proba(x) if is_classifier(model) else model.predict(x)
    assert np.allclose(forward(plan, x), np.reshape(theirs, (len(x), -1)), rtol=1e-9)


def test_what_is_made_for_each_column_or_class_grows_with_their_number() -> None:
    x, y = np.eye(40), np.arange(40) % 20
    for model in (make_pipeline(Normalizer(), Ridge()), GaussianNB(), SGDClassifier(loss="log_loss")):
        layers = import_model(model.fit(x, y)).spec.layers
        assert max(array.size for layer in layers for array in layer.arrays.values()) <= x.shape[1] * 20


@pytest.mark.parametrize(
    "model",
    [
        CalibratedClassifierCV(BaggingClassifier(SVC(), n_estimators=2, random_state=0), cv=2),
        CalibratedClassifierCV(RidgeClassifier(), method="temperature", cv=2),
        CalibratedClassifierCV(GaussianNB(), method="temperature", cv=2),
        FixedThresholdClassifier(LogisticRegression(), threshold=0.3),
    ],
    ids=["bags of vectors", "a temperature", "a temperature of probabilities", "a threshold"],
)
def test_the_probability_of_the_second_of_two_classes_is_the_output(model: Any) -> None:
    x, y = np.asarray(IRIS.x)[::5], np.asarray(IRIS.y)[::5] > 0
    imported = import_model(model.fit(x, y))
    assert np.allclose(forward(compile_plan(imported.spec), x)[:, 0], model.predict_proba(x)[:, 1], rtol=1e-9)
    assert any("the threshold 0.3" in note for note in imported.notes) == hasattr(model, "threshold")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"threshold": -1.5, "response_method": "decision_function"}, "its threshold is of other scores"),
        ({"threshold": 0.3, "pos_label": 0}, "compare 1 minus them, the probabilities of 0, with the threshold 0.3"),
        ({"threshold": 0.0}, "compare them with the threshold 0 where"),
    ],
)
def test_a_threshold_is_told_for_what_it_is_compared_with(options: dict[str, Any], words: str) -> None:
    model = FixedThresholdClassifier(LogisticRegression(), **options)
    imported = import_model(model.fit(np.asarray(IRIS.x)[::5], np.asarray(IRIS.y)[::5] > 0))
    assert any(words in note for note in imported.notes)


def test_a_temperature_softens_probabilities_that_are_almost_0() -> None:
    x, y = np.asarray(IRIS.x)[::5], np.asarray(IRIS.y)[::5]
    model = CalibratedClassifierCV(GaussianNB(), method="temperature", cv=2).fit(x, y)
    far = x * 20
    found = forward(compile_plan(import_model(model).spec), far)
    np.testing.assert_allclose(found, model.predict_proba(far), rtol=1e-9)


@pytest.mark.parametrize(
    "model",
    [StandardScaler(), make_pipeline(StandardScaler(), SplineTransformer(3))],
    ids=["a scaler", "a pipeline"],
)
def test_a_transformer_alone_is_a_network(model: Any) -> None:
    x = np.asarray(DIABETES.x)[:60]
    imported = import_model(model.fit(x))
    assert np.allclose(forward(compile_plan(imported.spec), x), model.transform(x), atol=1e-12)


def test_categories_become_means_of_the_target() -> None:
    frame = pd.DataFrame({"city": ["Rome", "Oslo", "Bonn"] * 10, "floor": [1.0, 2.0] * 15, "size": range(30)})
    means = ("means", TargetEncoder(), ["city", "floor"])
    encoder = ColumnTransformer([means], remainder="passthrough")
    model = make_pipeline(encoder, LogisticRegression()).fit(frame, [0, 1, 2, 2, 1] * 6)
    rows = pd.concat([frame, pd.DataFrame({"city": ["Lima"], "floor": [9.0], "size": [3]})], ignore_index=True)
    imported = import_model(model, rows=rows)
    assert imported.certificate.given_rows == 31
    assert imported.spec.inputs.features[0].unknown == "nan"


def test_a_class_that_is_never_predicted_is_rejected_by_its_place() -> None:
    model = GaussianNB(priors=[0, 0.5, 0.5]).fit(IRIS.x, IRIS.y)
    with pytest.raises(UnsupportedModelError, match="GaussianNB has a class whose prior probability is 0"):
        import_model(model)


@pytest.mark.parametrize(
    "model",
    [MultiOutputRegressor(Ridge()), RegressorChain(Ridge(), order=[1, 0])],
    ids=["side by side", "one after the other"],
)
def test_several_targets_are_outputs(model: Any) -> None:
    x = np.asarray(DIABETES.x)[:60]
    model.fit(x, np.c_[np.asarray(DIABETES.y)[:60], x[:, 0] - x[:, 1]])
    imported = import_model(model)
    assert np.allclose(forward(compile_plan(imported.spec), x), model.predict(x), rtol=1e-9)
