"""Messages of the server as the values of `forwardpass.models`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from google.protobuf.timestamp_pb2 import Timestamp

from forwardpass import profiles
from forwardpass._errors import error_of_status
from forwardpass.attribution import METHOD_NAMES, SCALE_NAMES
from forwardpass.errors import ForwardpassError, InternalError
from forwardpass.merges import MERGE_WORDS
from forwardpass.models import (
    AliasMove,
    Classification,
    ClassProbability,
    Event,
    Explanation,
    FeatureInfo,
    InputWarning,
    LayerAttributions,
    LayerInfo,
    LayerTrace,
    NetworkChange,
    NetworkInfo,
    Prediction,
    Registered,
    RolledBack,
    Shadow,
    ShadowReport,
    Trace,
    VersionInfo,
)
from forwardpass.numerics import read_numerics
from forwardpass.profiles import Profile, ProfileSummary, Subject
from forwardpass.spec.forms.feature_messages import FEATURE_KINDS, OUT_OF_RANGE, read_fill_value
from forwardpass.spec.network import DENSE, Output
from forwardpass.tensors import DTYPES, Array, from_tensor
from forwardpass.v1 import network_pb2, network_service_pb2, prediction_service_pb2, profile_pb2, trace_pb2
from forwardpass.v1.network_service_pb2 import (
    NETWORK_EVENT_CHANGED,
    NETWORK_EVENT_CURRENT,
    NETWORK_EVENT_DELETED,
    NETWORK_EVENT_SYNCED,
)
from forwardpass.v1.tensor_pb2 import Tensor

if TYPE_CHECKING:
    from collections.abc import Iterable

EVENTS: Final[Mapping[int, Event]] = {
    NETWORK_EVENT_CURRENT: "current",
    NETWORK_EVENT_SYNCED: "synced",
    NETWORK_EVENT_CHANGED: "changed",
    NETWORK_EVENT_DELETED: "deleted",
}
"""Name of each value of the enum `NetworkEvent`."""

_SETTERS: Final = {field.name: getattr(Prediction, field.name).__set__ for field in fields(Prediction)}
"""Setters of a prediction's fields; a frozen dataclass's constructor takes three times as long as they do."""

_SHARED_SETTERS: Final = {
    name: setter
    for name, setter in _SETTERS.items()
    if name not in {"outputs", "classifications", "warnings", "warning_count"}
}

_COUNTS: Final = tuple(field.name for field in fields(ShadowReport) if field.name != "shadow")


Result = TypeVar("Result")


@dataclass(frozen=True, kw_only=True, slots=True)
class Page(Generic[Result]):
    """A part of a list.

    Attributes:
        items: The items of this part.
        next_token: The token of the next part; empty after the last.
    """

    items: tuple[Result, ...]
    next_token: str


def prediction(response: prediction_service_pb2.PredictResponse) -> Prediction:
    """Return the prediction of a response of Predict."""
    return Prediction(
        outputs=from_tensor(response.outputs, path="outputs"),
        network=response.network,
        version=response.version,
        digest=response.digest,
        output_names=tuple(response.output_names),
        classifications=_classifications(response.classifications),
        numerics=read_numerics(response.numerics),
        warnings=_warnings(response.warnings),
        warning_count=response.warning_count,
    )


def result(
    response: prediction_service_pb2.PredictResult | prediction_service_pb2.PredictStreamResponse,
) -> Prediction | ForwardpassError:
    """Return the prediction or the error of one request of several."""
    return error_of_status(response.error) if response.HasField("error") else prediction(response.response)


def results(response: prediction_service_pb2.PredictManyResponse, count: int) -> list[Prediction | ForwardpassError]:
    """Return the predictions and errors of a response of PredictMany.

    Raises:
        InternalError: There is not one result for each request.
    """
    if len(response.results) != count:
        raise InternalError(f"the server returned {len(response.results)} results for {count} requests")
    return list(map(result, response.results))


def split_rows(whole: Prediction) -> list[Prediction]:
    """Split a prediction into one for each row, each with its own memory.

    Raises:
        InternalError: The prediction lists only some of its warnings, so that those of a row are not known.
    """
    if whole.warning_count > len(whole.warnings):
        raise InternalError(f"the server listed {len(whole.warnings)} of {whole.warning_count} warnings")
    warnings: list[list[InputWarning]] = [[] for _ in whole.outputs] if whole.warnings else []
    for warning in whole.warnings:
        warnings[warning.row].append(replace(warning, row=0))
    shared = [(setter, getattr(whole, name)) for name, setter in _SHARED_SETTERS.items()]
    predictions = []
    for index in range(len(whole.outputs)):
        outputs = whole.outputs[index : index + 1].copy()
        outputs.flags.writeable = False
        row = object.__new__(Prediction)
        _SETTERS["outputs"](row, outputs)
        _SETTERS["classifications"](row, whole.classifications[index : index + 1])
        _SETTERS["warnings"](row, tuple(warnings[index]) if warnings else ())
        _SETTERS["warning_count"](row, len(warnings[index]) if warnings else 0)
        for setter, value in shared:
            setter(row, value)
        predictions.append(row)
    return predictions


def trace(response: prediction_service_pb2.TraceResponse) -> Trace:
    """Return the trace of a response of Trace."""
    ranks = response.percentiles
    of_layers: list[Array | None] = [from_tensor(layer, path="percentiles.layers") for layer in ranks.layers]
    of_layers = of_layers or [None] * len(response.layers)
    return Trace(
        outputs=from_tensor(response.outputs, path="outputs"),
        network=response.network,
        version=response.version,
        digest=response.digest,
        output_names=tuple(response.output_names),
        classifications=_classifications(response.classifications),
        inputs=from_tensor(response.inputs, path="inputs"),
        input_names=tuple(response.input_names),
        layers=tuple(map(_layer_trace, response.layers, of_layers)),
        numerics=read_numerics(response.numerics),
        warnings=_warnings(response.warnings),
        warning_count=response.warning_count,
        profile_rows=ranks.rows,
        input_percentiles=from_tensor(ranks.inputs, path="percentiles.inputs") if ranks.rows else None,
        output_percentiles=from_tensor(ranks.outputs, path="percentiles.outputs") if ranks.rows else None,
    )


def explanation(response: prediction_service_pb2.ExplainResponse) -> Explanation:
    """Return the explanation of a response of Explain."""
    attributions = from_tensor(response.attributions, path="attributions")
    rows, explained = attributions.shape[:2]
    one = explained == 1

    def array(tensor: Tensor, path: str) -> Array:
        """Return an array without the axis of explained outputs if there is one of each row."""
        found = from_tensor(tensor, path=path)
        return found[:, 0] if one else found

    def of_each_row(values: Sequence[Result]) -> tuple[tuple[Result, ...], ...]:
        return tuple(tuple(values[row * explained : (row + 1) * explained]) for row in range(rows if values else 0))

    optional = {
        name: array(getattr(response, name), name)
        for name in ("baseline_outputs", "completeness_error", "standard_error")
        if response.HasField(name)
    }
    names = tuple(response.output_names)
    return Explanation(
        attributions=array(response.attributions, "attributions"),
        method=METHOD_NAMES.get(response.method, "integrated_gradients"),
        scale=SCALE_NAMES.get(response.scale, "outputs"),
        outputs=from_tensor(response.outputs, path="outputs"),
        network=response.network,
        version=response.version,
        digest=response.digest,
        output_names=names,
        output_classes=tuple(response.output_classes),
        classifications=_classifications(response.classifications),
        input_names=tuple(response.input_names),
        input_values=from_tensor(response.input_values, path="input_values"),
        categories={each.feature: tuple(each.values) for each in response.category_values},
        explained_outputs=of_each_row([names[place] for place in response.explained_outputs]),
        explained_values=array(response.explained_values, "explained_values"),
        steps=of_each_row(response.steps),
        converged=of_each_row(response.converged),
        layers=tuple(
            LayerAttributions(
                name=layer.name, nodes=tuple(layer.nodes), attributions=array(layer.attributions, "attributions")
            )
            for layer in response.layers
        ),
        numerics=read_numerics(response.numerics),
        warnings=_warnings(response.warnings),
        warning_count=response.warning_count,
        **optional,
    )


def _layer_trace(layer: trace_pb2.LayerTrace, percentiles: Array | None) -> LayerTrace:
    optional = {
        name: from_tensor(getattr(layer, name), path=name)
        for name in ("contributions", "bias", "merged")
        if layer.HasField(name)
    }
    return LayerTrace(
        name=layer.name,
        nodes=tuple(layer.nodes),
        function=_function(layer.function),
        parameters=_parameters(layer.function),
        inputs=tuple(layer.inputs),
        pre_activation=from_tensor(layer.pre_activation, path="pre_activation"),
        activation=from_tensor(layer.activation, path="activation"),
        from_=_from(layer),
        merge=MERGE_WORDS.get(layer.merge),
        kind=layer.kind or DENSE,
        percentiles=percentiles,
        **optional,
    )


def _classifications(
    messages: "Iterable[prediction_service_pb2.Classification]",
) -> tuple[Classification, ...]:
    return tuple(
        [
            Classification(
                label=message.label,
                probability=message.probability,
                chosen=tuple(message.chosen),
                top=tuple([ClassProbability(label=each.label, probability=each.probability) for each in message.top]),
            )
            for message in messages
        ]
    )


def _warnings(messages: "Iterable[prediction_service_pb2.InputWarning]") -> tuple[InputWarning, ...]:
    return tuple(
        [InputWarning(row=each.row, feature=each.feature, value=each.value, message=each.message) for each in messages]
    )


def registered(
    response: network_service_pb2.RegisterNetworkResponse | network_service_pb2.UploadNetworkResponse,
) -> Registered:
    """Return the result of a registration or an upload."""
    return Registered(
        version=response.version.version,
        info=version(response.version),
        created=response.created,
        revision=response.revision,
    )


def network(message: network_pb2.Network) -> NetworkInfo:
    """Return the description of a network."""
    return NetworkInfo(
        name=message.name,
        latest_version=message.latest_version,
        aliases=dict(sorted(message.aliases.items())),
        version_count=message.version_count,
        create_time=_time(message.create_time),
        update_time=_time(message.update_time),
        description=message.description,
        shadows=tuple(map(_shadow, message.shadows)),
    )


def version(message: network_pb2.NetworkVersion) -> VersionInfo:
    """Return the description of a version."""
    return VersionInfo(
        network=message.network,
        number=message.version,
        digest=message.digest,
        # Content that was only validated has no number and no time of registration.
        create_time=_time(message.create_time) if message.version else None,
        aliases=tuple(message.aliases),
        dtype=DTYPES[message.dtype].name if message.dtype in DTYPES else "",
        inputs=message.inputs.width or len(message.inputs.features),
        features=tuple(map(_feature, message.inputs.features)),
        layers=tuple(map(_layer, message.layers)),
        output_names=tuple(message.output_names),
        class_labels=tuple(message.class_labels),
        parameter_count=message.parameter_count,
        size_bytes=message.size_bytes,
        description=message.description,
        metadata=dict(sorted(message.metadata.items())),
        tags=tuple(message.tags),
        corrupt=message.corrupt,
        numerics=read_numerics(message.numerics),
        in_service=not message.out_of_service,
        input_groups={group.name: group.width for group in message.inputs.groups},
        output_layers=tuple(message.output_layers),
        shadow_of=tuple(map(_shadow, message.shadow_of)),
        output_metadata=tuple(map(_output, message.outputs)),
        thresholds=tuple(message.thresholds),
        profile=_profile_summary(message.profile) if message.HasField("profile") else None,
    )


def profile(response: network_service_pb2.GetProfileResponse) -> Profile:
    """Return the profile of a response of GetProfile."""
    subject = Subject(response.network, response.version, response.digest, _time(response.set_time))
    return profiles.from_message(response.profile, subject)


def profile_set(profile: Profile, response: network_service_pb2.SetProfileResponse) -> Profile:
    """Return a profile that was sent, with the time at which it was set."""
    return replace(profile, set_time=_time(response.set_time))


def _profile_summary(message: profile_pb2.ProfileSummary) -> ProfileSummary:
    return ProfileSummary(rows=message.rows, set_time=_time(message.set_time))


def rolled_back(response: network_service_pb2.RollbackAliasResponse) -> RolledBack:
    """Return the result of RollbackAlias."""
    return RolledBack(
        network=network(response.network), from_version=response.from_version, to_version=response.to_version
    )


def alias_moves(response: network_service_pb2.ListAliasMovesResponse) -> tuple[AliasMove, ...]:
    """Return the history of an alias."""
    return tuple(
        AliasMove(
            version=move.version,
            time=_time(move.time) if move.HasField("time") else None,
            rollback=move.rollback,
            deleted=move.deleted,
        )
        for move in response.moves
    )


def shadow_reports(response: network_service_pb2.ListShadowsResponse) -> tuple[ShadowReport, ...]:
    """Return the counts of shadows of a response of ListShadows."""
    return tuple(
        ShadowReport(shadow=_shadow(report.shadow), **{name: getattr(report, name) for name in _COUNTS})
        for report in response.reports
    )


def _shadow(message: network_pb2.Shadow) -> Shadow:
    return Shadow(
        of=message.of,
        version=message.version,
        share=message.share,
        tolerance=message.tolerance,
        set_time=_time(message.set_time),
    )


def change(response: network_service_pb2.WatchNetworksResponse) -> NetworkChange:
    """Return the event of a watch."""
    event = EVENTS.get(response.event, "changed")
    return NetworkChange(
        event=event,
        name=response.network.name,
        network=network(response.network) if event in {"current", "changed"} else None,
        revision=response.revision,
    )


def _feature(message: network_pb2.Feature) -> FeatureInfo:
    return FeatureInfo(
        name=message.name,
        mean=message.mean,
        scale=message.scale if message.HasField("scale") else 1.0,
        unit=message.unit,
        description=message.description,
        kind=FEATURE_KINDS.get(message.kind, "number"),
        low=message.low if message.HasField("low") else None,
        high=message.high if message.HasField("high") else None,
        out_of_range=OUT_OF_RANGE.get(message.out_of_range, "warn"),
        categories=tuple(message.categories),
        missing=read_fill_value(message.missing),
        unknown=read_fill_value(message.unknown),
    )


def _output(message: network_pb2.Output) -> Output:
    return Output(
        unit=message.unit,
        description=message.description,
        scale=message.scale if message.HasField("scale") else 1.0,
        shift=message.shift,
    )


def _layer(message: network_pb2.LayerSummary) -> LayerInfo:
    return LayerInfo(
        name=message.name,
        width=message.width,
        function=_function(message.activation),
        parameters=_parameters(message.activation),
        nodes=tuple(message.nodes),
        from_=_from(message),
        merge=MERGE_WORDS.get(message.merge),
        kind=message.kind or DENSE,
    )


def _from(layer: network_pb2.LayerSummary | trace_pb2.LayerTrace) -> tuple[str, ...]:
    return tuple(getattr(layer, "from"))  # a word of Python's own


def _parameters(function: network_pb2.Activation) -> dict[str, float]:
    return dict(sorted(function.parameters.items()))


def _function(function: network_pb2.Activation) -> str:
    said = ", ".join(f"{name}={value:g}" for name, value in _parameters(function).items())
    if function.expression:
        return f"{function.expression} with {said}" if said else function.expression
    return f"{function.name}({said})" if said else function.name


def _time(message: Timestamp) -> datetime:
    return message.ToDatetime(tzinfo=UTC)
