"""The registry: names, versions, aliases, digests, and where they are kept."""

from forwardpass_server.registry.backing_up import BackedUp, BackupError, back_up
from forwardpass_server.registry.checking import check
from forwardpass_server.registry.moving import Moved, MoveError, move
from forwardpass_server.registry.pruning import prune
from forwardpass_server.registry.registry import Registry
from forwardpass_server.registry.shadows import ShadowFigures, Shadowing, ShadowStatistics
from forwardpass_server.registry.snapshot import Snapshot, revision_ahead
from forwardpass_server.registry.sql import SqlStore
from forwardpass_server.registry.state import (
    LATEST,
    LayerSummary,
    LoadedVersion,
    NetworkChange,
    NetworkState,
    Registered,
    Summary,
    VersionRuntime,
    VersionState,
)
from forwardpass_server.registry.statistics import Counted, Figures, Statistics
from forwardpass_server.registry.store import MoveRow, ShadowRow, Store, StoreOpenError

__all__ = [
    "LATEST",
    "BackedUp",
    "BackupError",
    "Counted",
    "Figures",
    "LayerSummary",
    "LoadedVersion",
    "MoveError",
    "MoveRow",
    "Moved",
    "NetworkChange",
    "NetworkState",
    "Registered",
    "Registry",
    "ShadowFigures",
    "ShadowRow",
    "ShadowStatistics",
    "Shadowing",
    "Snapshot",
    "SqlStore",
    "Statistics",
    "Store",
    "StoreOpenError",
    "Summary",
    "VersionRuntime",
    "VersionState",
    "back_up",
    "check",
    "move",
    "prune",
    "revision_ahead",
]
