from forwardpass.v1 import network_pb2 as _network_pb2
from forwardpass.v1 import options_pb2 as _options_pb2
from forwardpass.v1 import profile_pb2 as _profile_pb2
from google.api import annotations_pb2 as _annotations_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class NetworkView(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    NETWORK_VIEW_UNSPECIFIED: _ClassVar[NetworkView]
    NETWORK_VIEW_BASIC: _ClassVar[NetworkView]
    NETWORK_VIEW_FULL: _ClassVar[NetworkView]

class NetworkEvent(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    NETWORK_EVENT_UNSPECIFIED: _ClassVar[NetworkEvent]
    NETWORK_EVENT_CURRENT: _ClassVar[NetworkEvent]
    NETWORK_EVENT_SYNCED: _ClassVar[NetworkEvent]
    NETWORK_EVENT_CHANGED: _ClassVar[NetworkEvent]
    NETWORK_EVENT_DELETED: _ClassVar[NetworkEvent]
NETWORK_VIEW_UNSPECIFIED: NetworkView
NETWORK_VIEW_BASIC: NetworkView
NETWORK_VIEW_FULL: NetworkView
NETWORK_EVENT_UNSPECIFIED: NetworkEvent
NETWORK_EVENT_CURRENT: NetworkEvent
NETWORK_EVENT_SYNCED: NetworkEvent
NETWORK_EVENT_CHANGED: NetworkEvent
NETWORK_EVENT_DELETED: NetworkEvent

class RegisterNetworkRequest(_message.Message):
    __slots__ = ("network", "spec", "validate_only", "keep_latest")
    NETWORK_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    KEEP_LATEST_FIELD_NUMBER: _ClassVar[int]
    network: str
    spec: _network_pb2.NetworkSpec
    validate_only: bool
    keep_latest: bool
    def __init__(self, network: _Optional[str] = ..., spec: _Optional[_Union[_network_pb2.NetworkSpec, _Mapping]] = ..., validate_only: bool = ..., keep_latest: bool = ...) -> None: ...

class RegisterNetworkResponse(_message.Message):
    __slots__ = ("version", "created", "revision")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    CREATED_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    version: _network_pb2.NetworkVersion
    created: bool
    revision: int
    def __init__(self, version: _Optional[_Union[_network_pb2.NetworkVersion, _Mapping]] = ..., created: bool = ..., revision: _Optional[int] = ...) -> None: ...

class UploadNetworkRequest(_message.Message):
    __slots__ = ("header", "chunk")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    header: UploadHeader
    chunk: bytes
    def __init__(self, header: _Optional[_Union[UploadHeader, _Mapping]] = ..., chunk: _Optional[bytes] = ...) -> None: ...

class UploadHeader(_message.Message):
    __slots__ = ("network", "size_bytes", "validate_only", "keep_latest")
    NETWORK_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    KEEP_LATEST_FIELD_NUMBER: _ClassVar[int]
    network: str
    size_bytes: int
    validate_only: bool
    keep_latest: bool
    def __init__(self, network: _Optional[str] = ..., size_bytes: _Optional[int] = ..., validate_only: bool = ..., keep_latest: bool = ...) -> None: ...

class UploadNetworkResponse(_message.Message):
    __slots__ = ("version", "created", "revision")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    CREATED_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    version: _network_pb2.NetworkVersion
    created: bool
    revision: int
    def __init__(self, version: _Optional[_Union[_network_pb2.NetworkVersion, _Mapping]] = ..., created: bool = ..., revision: _Optional[int] = ...) -> None: ...

class GetNetworkRequest(_message.Message):
    __slots__ = ("network", "version", "view", "min_revision")
    NETWORK_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    VIEW_FIELD_NUMBER: _ClassVar[int]
    MIN_REVISION_FIELD_NUMBER: _ClassVar[int]
    network: str
    version: str
    view: NetworkView
    min_revision: int
    def __init__(self, network: _Optional[str] = ..., version: _Optional[str] = ..., view: _Optional[_Union[NetworkView, str]] = ..., min_revision: _Optional[int] = ...) -> None: ...

class GetNetworkResponse(_message.Message):
    __slots__ = ("network", "version", "spec", "revision")
    NETWORK_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    network: _network_pb2.Network
    version: _network_pb2.NetworkVersion
    spec: _network_pb2.NetworkSpec
    revision: int
    def __init__(self, network: _Optional[_Union[_network_pb2.Network, _Mapping]] = ..., version: _Optional[_Union[_network_pb2.NetworkVersion, _Mapping]] = ..., spec: _Optional[_Union[_network_pb2.NetworkSpec, _Mapping]] = ..., revision: _Optional[int] = ...) -> None: ...

class ListNetworksRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "min_revision")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    MIN_REVISION_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    min_revision: int
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., min_revision: _Optional[int] = ...) -> None: ...

class ListNetworksResponse(_message.Message):
    __slots__ = ("networks", "next_page_token", "revision")
    NETWORKS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    networks: _containers.RepeatedCompositeFieldContainer[_network_pb2.Network]
    next_page_token: str
    revision: int
    def __init__(self, networks: _Optional[_Iterable[_Union[_network_pb2.Network, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., revision: _Optional[int] = ...) -> None: ...

class ListVersionsRequest(_message.Message):
    __slots__ = ("network", "page_size", "page_token", "min_revision")
    NETWORK_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    MIN_REVISION_FIELD_NUMBER: _ClassVar[int]
    network: str
    page_size: int
    page_token: str
    min_revision: int
    def __init__(self, network: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., min_revision: _Optional[int] = ...) -> None: ...

class ListVersionsResponse(_message.Message):
    __slots__ = ("versions", "next_page_token", "revision")
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    versions: _containers.RepeatedCompositeFieldContainer[_network_pb2.NetworkVersion]
    next_page_token: str
    revision: int
    def __init__(self, versions: _Optional[_Iterable[_Union[_network_pb2.NetworkVersion, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., revision: _Optional[int] = ...) -> None: ...

class DeleteNetworkRequest(_message.Message):
    __slots__ = ("network",)
    NETWORK_FIELD_NUMBER: _ClassVar[int]
    network: str
    def __init__(self, network: _Optional[str] = ...) -> None: ...

class DeleteNetworkResponse(_message.Message):
    __slots__ = ("revision",)
    REVISION_FIELD_NUMBER: _ClassVar[int]
    revision: int
    def __init__(self, revision: _Optional[int] = ...) -> None: ...

class DeleteVersionRequest(_message.Message):
    __slots__ = ("network", "version")
    NETWORK_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    network: str
    version: int
    def __init__(self, network: _Optional[str] = ..., version: _Optional[int] = ...) -> None: ...

class DeleteVersionResponse(_message.Message):
    __slots__ = ("network", "revision")
    NETWORK_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    network: _network_pb2.Network
    revision: int
    def __init__(self, network: _Optional[_Union[_network_pb2.Network, _Mapping]] = ..., revision: _Optional[int] = ...) -> None: ...

class SetAliasRequest(_message.Message):
    __slots__ = ("network", "alias", "version", "expected_version")
    NETWORK_FIELD_NUMBER: _ClassVar[int]
    ALIAS_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_VERSION_FIELD_NUMBER: _ClassVar[int]
    network: str
    alias: str
    version: str
    expected_version: int
    def __init__(self, network: _Optional[str] = ..., alias: _Optional[str] = ..., version: _Optional[str] = ..., expected_version: _Optional[int] = ...) -> None: ...

class SetAliasResponse(_message.Message):
    __slots__ = ("network", "revision")
    NETWORK_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    network: _network_pb2.Network
    revision: int
    def __init__(self, network: _Optional[_Union[_network_pb2.Network, _Mapping]] = ..., revision: _Optional[int] = ...) -> None: ...

class RollbackAliasRequest(_message.Message):
    __slots__ = ("network", "alias", "expected_version")
    NETWORK_FIELD_NUMBER: _ClassVar[int]
    ALIAS_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_VERSION_FIELD_NUMBER: _ClassVar[int]
    network: str
    alias: str
    expected_version: int
    def __init__(self, network: _Optional[str] = ..., alias: _Optional[str] = ..., expected_version: _Optional[int] = ...) -> None: ...

class RollbackAliasResponse(_message.Message):
    __slots__ = ("network", "from_version", "to_version", "revision")
    NETWORK_FIELD_NUMBER: _ClassVar[int]
    FROM_VERSION_FIELD_NUMBER: _ClassVar[int]
    TO_VERSION_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    network: _network_pb2.Network
    from_version: int
    to_version: int
    revision: int
    def __init__(self, network: _Optional[_Union[_network_pb2.Network, _Mapping]] = ..., from_version: _Optional[int] = ..., to_version: _Optional[int] = ..., revision: _Optional[int] = ...) -> None: ...

class ListAliasMovesRequest(_message.Message):
    __slots__ = ("network", "alias", "min_revision")
    NETWORK_FIELD_NUMBER: _ClassVar[int]
    ALIAS_FIELD_NUMBER: _ClassVar[int]
    MIN_REVISION_FIELD_NUMBER: _ClassVar[int]
    network: str
    alias: str
    min_revision: int
    def __init__(self, network: _Optional[str] = ..., alias: _Optional[str] = ..., min_revision: _Optional[int] = ...) -> None: ...

class ListAliasMovesResponse(_message.Message):
    __slots__ = ("moves", "revision")
    MOVES_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    moves: _containers.RepeatedCompositeFieldContainer[AliasMove]
    revision: int
    def __init__(self, moves: _Optional[_Iterable[_Union[AliasMove, _Mapping]]] = ..., revision: _Optional[int] = ...) -> None: ...

class AliasMove(_message.Message):
    __slots__ = ("version", "time", "rollback", "deleted")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    ROLLBACK_FIELD_NUMBER: _ClassVar[int]
    DELETED_FIELD_NUMBER: _ClassVar[int]
    version: int
    time: _timestamp_pb2.Timestamp
    rollback: bool
    deleted: bool
    def __init__(self, version: _Optional[int] = ..., time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., rollback: bool = ..., deleted: bool = ...) -> None: ...

class DeleteAliasRequest(_message.Message):
    __slots__ = ("network", "alias")
    NETWORK_FIELD_NUMBER: _ClassVar[int]
    ALIAS_FIELD_NUMBER: _ClassVar[int]
    network: str
    alias: str
    def __init__(self, network: _Optional[str] = ..., alias: _Optional[str] = ...) -> None: ...

class DeleteAliasResponse(_message.Message):
    __slots__ = ("network", "revision")
    NETWORK_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    network: _network_pb2.Network
    revision: int
    def __init__(self, network: _Optional[_Union[_network_pb2.Network, _Mapping]] = ..., revision: _Optional[int] = ...) -> None: ...

class SetShadowRequest(_message.Message):
    __slots__ = ("network", "of", "version", "share", "tolerance")
    NETWORK_FIELD_NUMBER: _ClassVar[int]
    OF_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    SHARE_FIELD_NUMBER: _ClassVar[int]
    TOLERANCE_FIELD_NUMBER: _ClassVar[int]
    network: str
    of: str
    version: str
    share: float
    tolerance: float
    def __init__(self, network: _Optional[str] = ..., of: _Optional[str] = ..., version: _Optional[str] = ..., share: _Optional[float] = ..., tolerance: _Optional[float] = ...) -> None: ...

class SetShadowResponse(_message.Message):
    __slots__ = ("network", "revision")
    NETWORK_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    network: _network_pb2.Network
    revision: int
    def __init__(self, network: _Optional[_Union[_network_pb2.Network, _Mapping]] = ..., revision: _Optional[int] = ...) -> None: ...

class ClearShadowRequest(_message.Message):
    __slots__ = ("network", "of")
    NETWORK_FIELD_NUMBER: _ClassVar[int]
    OF_FIELD_NUMBER: _ClassVar[int]
    network: str
    of: str
    def __init__(self, network: _Optional[str] = ..., of: _Optional[str] = ...) -> None: ...

class ClearShadowResponse(_message.Message):
    __slots__ = ("network", "revision")
    NETWORK_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    network: _network_pb2.Network
    revision: int
    def __init__(self, network: _Optional[_Union[_network_pb2.Network, _Mapping]] = ..., revision: _Optional[int] = ...) -> None: ...

class ListShadowsRequest(_message.Message):
    __slots__ = ("network", "min_revision")
    NETWORK_FIELD_NUMBER: _ClassVar[int]
    MIN_REVISION_FIELD_NUMBER: _ClassVar[int]
    network: str
    min_revision: int
    def __init__(self, network: _Optional[str] = ..., min_revision: _Optional[int] = ...) -> None: ...

class ListShadowsResponse(_message.Message):
    __slots__ = ("reports", "revision")
    REPORTS_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    reports: _containers.RepeatedCompositeFieldContainer[ShadowReport]
    revision: int
    def __init__(self, reports: _Optional[_Iterable[_Union[ShadowReport, _Mapping]]] = ..., revision: _Optional[int] = ...) -> None: ...

class ShadowReport(_message.Message):
    __slots__ = ("shadow", "of_version", "rows", "sampled", "compared", "dropped", "failed", "beyond", "relabeled", "worst_absolute", "failure")
    SHADOW_FIELD_NUMBER: _ClassVar[int]
    OF_VERSION_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    SAMPLED_FIELD_NUMBER: _ClassVar[int]
    COMPARED_FIELD_NUMBER: _ClassVar[int]
    DROPPED_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    BEYOND_FIELD_NUMBER: _ClassVar[int]
    RELABELED_FIELD_NUMBER: _ClassVar[int]
    WORST_ABSOLUTE_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    shadow: _network_pb2.Shadow
    of_version: int
    rows: int
    sampled: int
    compared: int
    dropped: int
    failed: int
    beyond: int
    relabeled: int
    worst_absolute: float
    failure: str
    def __init__(self, shadow: _Optional[_Union[_network_pb2.Shadow, _Mapping]] = ..., of_version: _Optional[int] = ..., rows: _Optional[int] = ..., sampled: _Optional[int] = ..., compared: _Optional[int] = ..., dropped: _Optional[int] = ..., failed: _Optional[int] = ..., beyond: _Optional[int] = ..., relabeled: _Optional[int] = ..., worst_absolute: _Optional[float] = ..., failure: _Optional[str] = ...) -> None: ...

class SetProfileRequest(_message.Message):
    __slots__ = ("network", "version", "profile")
    NETWORK_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    PROFILE_FIELD_NUMBER: _ClassVar[int]
    network: str
    version: str
    profile: _profile_pb2.Profile
    def __init__(self, network: _Optional[str] = ..., version: _Optional[str] = ..., profile: _Optional[_Union[_profile_pb2.Profile, _Mapping]] = ...) -> None: ...

class SetProfileResponse(_message.Message):
    __slots__ = ("version", "set_time", "revision")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    SET_TIME_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    version: int
    set_time: _timestamp_pb2.Timestamp
    revision: int
    def __init__(self, version: _Optional[int] = ..., set_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., revision: _Optional[int] = ...) -> None: ...

class GetProfileRequest(_message.Message):
    __slots__ = ("network", "version", "min_revision")
    NETWORK_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    MIN_REVISION_FIELD_NUMBER: _ClassVar[int]
    network: str
    version: str
    min_revision: int
    def __init__(self, network: _Optional[str] = ..., version: _Optional[str] = ..., min_revision: _Optional[int] = ...) -> None: ...

class GetProfileResponse(_message.Message):
    __slots__ = ("profile", "network", "version", "digest", "set_time", "revision")
    PROFILE_FIELD_NUMBER: _ClassVar[int]
    NETWORK_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    SET_TIME_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    profile: _profile_pb2.Profile
    network: str
    version: int
    digest: str
    set_time: _timestamp_pb2.Timestamp
    revision: int
    def __init__(self, profile: _Optional[_Union[_profile_pb2.Profile, _Mapping]] = ..., network: _Optional[str] = ..., version: _Optional[int] = ..., digest: _Optional[str] = ..., set_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., revision: _Optional[int] = ...) -> None: ...

class DeleteProfileRequest(_message.Message):
    __slots__ = ("network", "version")
    NETWORK_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    network: str
    version: str
    def __init__(self, network: _Optional[str] = ..., version: _Optional[str] = ...) -> None: ...

class DeleteProfileResponse(_message.Message):
    __slots__ = ("version", "revision")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    version: int
    revision: int
    def __init__(self, version: _Optional[int] = ..., revision: _Optional[int] = ...) -> None: ...

class WatchNetworksRequest(_message.Message):
    __slots__ = ("name_prefix", "min_revision")
    NAME_PREFIX_FIELD_NUMBER: _ClassVar[int]
    MIN_REVISION_FIELD_NUMBER: _ClassVar[int]
    name_prefix: str
    min_revision: int
    def __init__(self, name_prefix: _Optional[str] = ..., min_revision: _Optional[int] = ...) -> None: ...

class WatchNetworksResponse(_message.Message):
    __slots__ = ("event", "network", "revision")
    EVENT_FIELD_NUMBER: _ClassVar[int]
    NETWORK_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    event: NetworkEvent
    network: _network_pb2.Network
    revision: int
    def __init__(self, event: _Optional[_Union[NetworkEvent, str]] = ..., network: _Optional[_Union[_network_pb2.Network, _Mapping]] = ..., revision: _Optional[int] = ...) -> None: ...
