"""The registry's states as messages."""

import dataclasses
from datetime import datetime

from forwardpass.merges import MERGES
from forwardpass.numerics import NUMERICS
from forwardpass.spec.forms.feature_messages import output_messages
from forwardpass.spec.forms.messages import activation_message, inputs_message
from forwardpass.tensors import DATA_TYPES
from forwardpass.v1 import network_pb2
from forwardpass.v1.network_pb2 import Network, NetworkVersion, Shadow
from forwardpass.v1.network_service_pb2 import AliasMove, ShadowReport
from forwardpass.v1.profile_pb2 import ProfileSummary
from google.protobuf.timestamp_pb2 import Timestamp

from forwardpass_server.registry import (
    LATEST,
    AliasMoveRow,
    NetworkState,
    ProfileRow,
    Shadowing,
    ShadowRow,
    Summary,
    VersionState,
)
from forwardpass_server.registry.summary import LayerSummary


def network_message(network: NetworkState, description: str) -> Network:
    """Return a network as a message, given the description of its latest version."""
    latest = network.versions[network.aliases[LATEST]]
    return Network(
        name=network.name,
        latest_version=latest.number,
        aliases=network.aliases,
        version_count=len(network.versions),
        create_time=timestamp(network.create_time),
        update_time=timestamp(network.update_time),
        description=description,
        shadows=map(_shadow_message, network.shadows),
    )


def version_message(version: VersionState, summary: Summary | None, network: NetworkState | None) -> NetworkVersion:
    """Return a version as a message, given its summary (None if it is damaged) and its network, if it has one."""
    aliases = network.aliases if network else {}
    shadows = network.shadows if network else ()
    message = NetworkVersion(
        network=version.network,
        version=version.number,
        digest=version.digest,
        create_time=timestamp(version.create_time),
        aliases=sorted(alias for alias, number in aliases.items() if number == version.number),
        size_bytes=version.size_bytes,
        corrupt=summary is None,
        out_of_service=not version.in_service,
        shadow_of=[_shadow_message(row) for row in shadows if row.number == version.number],
        profile=_profile_summary(network.profiles.get(version.number)) if network else None,
    )
    if summary is None:
        return message
    message.dtype = DATA_TYPES[summary.dtype]
    message.numerics = NUMERICS[summary.numerics]
    message.inputs.CopyFrom(inputs_message(summary.inputs))
    message.layers.extend(map(_layer_message, summary.layers))
    message.output_layers.extend(summary.output_layers)
    message.output_names.extend(summary.outputs)
    message.class_labels.extend(summary.classes)
    message.outputs.extend(output_messages(summary.output_metadata))
    message.thresholds.extend(summary.thresholds)
    message.parameter_count = summary.parameter_count
    message.description = summary.description
    message.metadata.update(summary.metadata)
    message.tags.extend(summary.tags)
    return message


def move_message(move: AliasMoveRow, *, deleted: bool) -> AliasMove:
    """Return an alias's move as a message; `deleted` is whether that version was deleted since."""
    time = None if move.time is None else timestamp(move.time)
    return AliasMove(version=move.number, time=time, rollback=move.is_rollback, deleted=deleted)


def shadow_report(shadowing: Shadowing) -> ShadowReport:
    """Return the figures of a shadow as a message."""
    figures = shadowing.statistics.collect()
    return ShadowReport(
        shadow=_shadow_message(shadowing.row), of_version=shadowing.live.number, **dataclasses.asdict(figures)
    )


def _shadow_message(row: ShadowRow) -> Shadow:
    return Shadow(
        of=row.of,
        version=row.number,
        share=row.share,
        tolerance=row.tolerance,
        set_time=timestamp(row.set_time),
    )


def _profile_summary(row: ProfileRow | None) -> ProfileSummary | None:
    return None if row is None else ProfileSummary(rows=row.rows, set_time=timestamp(row.set_time))


def _layer_message(layer: LayerSummary) -> network_pb2.LayerSummary:
    return network_pb2.LayerSummary(
        name=layer.name,
        width=len(layer.nodes),
        activation=activation_message(layer.activation),
        nodes=layer.nodes,
        merge=MERGES[layer.merge],
        kind=layer.kind,
        **{"from": layer.from_},  # a word of Python's own
    )


def timestamp(time: datetime) -> Timestamp:
    """Return a time as a message."""
    stamp = Timestamp()
    stamp.FromDatetime(time)
    return stamp
