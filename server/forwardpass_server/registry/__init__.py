"""The registry: named networks with numbered versions, aliases and shadows, and their storage."""

from forwardpass_server.registry.loaded_version import LoadedVersion
from forwardpass_server.registry.operations.backup import BackupError, BackupReport, back_up
from forwardpass_server.registry.operations.copy import CopyError, CopyReport, copy_registry
from forwardpass_server.registry.operations.garbage_collection import collect_garbage
from forwardpass_server.registry.operations.verify import verify
from forwardpass_server.registry.profiles import Profiles
from forwardpass_server.registry.reader import RegistryReader
from forwardpass_server.registry.registry import Registry
from forwardpass_server.registry.rollout import Rollout
from forwardpass_server.registry.shadow_statistics import ShadowStatistics, ShadowTotals
from forwardpass_server.registry.snapshot import Snapshot, revision_ahead
from forwardpass_server.registry.state import (
    NetworkChange,
    NetworkState,
    Registered,
    Shadowing,
    VersionRuntime,
    VersionState,
)
from forwardpass_server.registry.statistics import (
    EMPTY_STATISTICS,
    BatchTotals,
    CollectedStatistics,
    Statistics,
)
from forwardpass_server.registry.storage.sql_store import SqlStore
from forwardpass_server.registry.storage.store import (
    LATEST,
    AliasMoveRow,
    ProfileRow,
    ShadowRow,
    Store,
    StoreOpenError,
)
from forwardpass_server.registry.summary import LayerSummary, Summary

__all__ = [
    "EMPTY_STATISTICS",
    "LATEST",
    "AliasMoveRow",
    "BackupError",
    "BackupReport",
    "BatchTotals",
    "CollectedStatistics",
    "CopyError",
    "CopyReport",
    "LayerSummary",
    "LoadedVersion",
    "NetworkChange",
    "NetworkState",
    "ProfileRow",
    "Profiles",
    "Registered",
    "Registry",
    "RegistryReader",
    "Rollout",
    "ShadowRow",
    "ShadowStatistics",
    "ShadowTotals",
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
    "collect_garbage",
    "copy_registry",
    "revision_ahead",
    "verify",
]
