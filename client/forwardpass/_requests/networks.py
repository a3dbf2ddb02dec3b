"""Requests of the network service, and of the health service."""

from collections.abc import Mapping
from functools import partial
from os import PathLike
from sys import maxsize
from typing import Final

from forwardpass import _responses, profiles, spec
from forwardpass._requests import fields
from forwardpass._requests.call import Call
from forwardpass._requests.streams import CHUNK_BYTES, Progress, Upload
from forwardpass._responses import Page
from forwardpass._transport.methods import SERVING
from forwardpass.models import (
    AliasMove,
    NetworkChange,
    NetworkInfo,
    Registered,
    RolledBack,
    ShadowReport,
    VersionInfo,
)
from forwardpass.profiles import Profile
from forwardpass.v1 import network_service_pb2 as networks_v1

SpecLike = spec.NetworkSpec | Mapping[str, object] | str | PathLike[str]
"""A spec, the dict of its JSON form, or the path of a JSON or safetensors file."""

MAX_MESSAGE_BYTES: Final = 2 * 2**20
"""Bytes of the largest spec that is registered in one message; a larger one is uploaded."""

# The server judges by its own limits, which may differ from ours, and it has accepted what it sends.
_NO_LIMITS: Final = spec.Limits(**dict.fromkeys(spec.Limits.__dataclass_fields__, maxsize))


def register(
    network: str, content: SpecLike, *, validate_only: bool, keep_latest: bool, progress: Progress | None
) -> Call[Registered]:
    """Request the registration of a spec: in one message, or as an upload when it is large.

    Raises:
        InvalidFieldError: The name is not one that a network can have.
        InvalidNetworkError: The spec is not valid; `faults` has every fault.
        OSError: The file cannot be read.
    """
    spec.check_name(network)
    read = read_spec(content)
    if sum(array.nbytes for layer in read.layers for array in layer.arrays.values()) <= MAX_MESSAGE_BYTES:
        request = networks_v1.RegisterNetworkRequest(
            network=network, spec=spec.to_message(read), validate_only=validate_only, keep_latest=keep_latest
        )
        if request.ByteSize() <= MAX_MESSAGE_BYTES:
            return Call(method="RegisterNetwork", request=request, parse=_responses.registered)
    upload = Upload(spec.to_safetensors(read), progress)
    header = networks_v1.UploadHeader(
        network=network, size_bytes=upload.size, validate_only=validate_only, keep_latest=keep_latest
    )
    return Call(
        method="UploadNetwork",
        requests=partial(upload.requests, header),
        parse=_responses.registered,
        check=upload.check,
        extra_seconds=upload.size / CHUNK_BYTES,
    )


def read_spec(content: SpecLike) -> spec.NetworkSpec:
    """Return the spec that a caller passed in one of its forms.

    Raises:
        InvalidNetworkError: The content is not a valid spec; `faults` has every fault.
        OSError: The file cannot be read.
    """
    if isinstance(content, spec.NetworkSpec):
        return content
    if isinstance(content, Mapping):
        return spec.parse(content, limits=_NO_LIMITS)
    if isinstance(content, str) and content.lstrip().startswith("{"):
        raise fields.invalid("spec", "is a JSON text; a str is the path of a file, so pass spec.from_json(text)")
    if isinstance(content, str | PathLike):
        return spec.load(content, limits=_NO_LIMITS)
    raise fields.invalid("spec", f"is a {type(content).__name__}; must be a dict, a path or a NetworkSpec")


def network(name: str) -> Call[NetworkInfo]:
    """Request a network."""
    return Call(
        method="GetNetwork",
        request=networks_v1.GetNetworkRequest(network=fields.text(name, "network")),
        parse=lambda response: _responses.network(response.network),
    )


def version(name: str, version: str | int) -> Call[VersionInfo]:
    """Request a version of a network, without its weights."""
    return Call(
        method="GetNetwork",
        request=networks_v1.GetNetworkRequest(
            network=fields.text(name, "network"), version=fields.version_reference(version)
        ),
        parse=lambda response: _responses.version(response.version),
    )


def get_spec(name: str, version: str | int) -> Call[spec.NetworkSpec]:
    """Request the whole content of a version."""
    request = networks_v1.GetNetworkRequest(
        network=fields.text(name, "network"),
        version=fields.version_reference(version),
        view=networks_v1.NETWORK_VIEW_FULL,
    )
    return Call(
        method="GetNetwork",
        request=request,
        parse=lambda response: spec.from_message(response.spec, limits=_NO_LIMITS),
    )


def networks(token: str) -> Call[Page[NetworkInfo]]:
    """Request a page of the list of networks."""
    return Call(
        method="ListNetworks",
        request=networks_v1.ListNetworksRequest(page_size=1000, page_token=token),
        parse=lambda response: Page(
            items=tuple(map(_responses.network, response.networks)), next_token=response.next_page_token
        ),
    )


def versions(name: str, token: str) -> Call[Page[VersionInfo]]:
    """Request a page of the list of a network's versions."""
    return Call(
        method="ListVersions",
        # A version with many named nodes is large, so pages are smaller than those of networks.
        request=networks_v1.ListVersionsRequest(network=fields.text(name, "network"), page_size=100, page_token=token),
        parse=lambda response: Page(
            items=tuple(map(_responses.version, response.versions)), next_token=response.next_page_token
        ),
    )


def delete_network(name: str) -> Call[int]:
    """Request the deletion of a network; the result is the registry's revision."""
    return Call(
        method="DeleteNetwork",
        request=networks_v1.DeleteNetworkRequest(network=fields.text(name, "network")),
        parse=lambda response: int(response.revision),
    )


def delete_version(name: str, number: int) -> Call[NetworkInfo]:
    """Request the deletion of a version."""
    if isinstance(number, bool) or not isinstance(number, int):
        raise fields.invalid("version", f"is {number!r}; must be the number of a version, so that no alias decides")
    return Call(
        method="DeleteVersion",
        request=networks_v1.DeleteVersionRequest(network=fields.text(name, "network"), version=number),
        parse=lambda response: _responses.network(response.network),
    )


def set_alias(name: str, alias: str, version: str | int, *, expected: int | None) -> Call[NetworkInfo]:
    """Request that an alias names a version."""
    spec.check_name(alias, "alias")
    return Call(
        method="SetAlias",
        request=networks_v1.SetAliasRequest(
            network=fields.text(name, "network"),
            alias=alias,
            version=fields.version_reference(version),
            expected_version=fields.expected_version(expected),
        ),
        parse=lambda response: _responses.network(response.network),
    )


def rollback(name: str, alias: str, *, expected: int | None) -> Call[RolledBack]:
    """Request that an alias names the version that it named before."""
    return Call(
        method="RollbackAlias",
        request=networks_v1.RollbackAliasRequest(
            network=fields.text(name, "network"),
            alias=fields.text(alias, "alias"),
            expected_version=fields.expected_version(expected),
        ),
        parse=_responses.rolled_back,
    )


def alias_moves(name: str, alias: str) -> Call[tuple[AliasMove, ...]]:
    """Request the history of an alias."""
    return Call(
        method="ListAliasMoves",
        request=networks_v1.ListAliasMovesRequest(
            network=fields.text(name, "network"), alias=fields.text(alias, "alias")
        ),
        parse=_responses.alias_moves,
    )


def set_shadow(
    name: str, version: str | int, *, of: str | int, share: float, tolerance: float | None
) -> Call[NetworkInfo]:
    """Request that a version is computed beside another one, as its shadow."""
    return Call(
        method="SetShadow",
        request=networks_v1.SetShadowRequest(
            network=fields.text(name, "network"),
            of=fields.version_reference(of),
            version=fields.version_reference(version),
            share=fields.number(share, "share"),
            tolerance=None if tolerance is None else fields.number(tolerance, "tolerance"),
        ),
        parse=lambda response: _responses.network(response.network),
    )


def clear_shadow(name: str, of: str | int) -> Call[NetworkInfo]:
    """Request the end of a shadow."""
    return Call(
        method="ClearShadow",
        request=networks_v1.ClearShadowRequest(network=fields.text(name, "network"), of=fields.version_reference(of)),
        parse=lambda response: _responses.network(response.network),
    )


def shadows(name: str) -> Call[tuple[ShadowReport, ...]]:
    """Request the counts of a network's shadows."""
    return Call(
        method="ListShadows",
        request=networks_v1.ListShadowsRequest(network=fields.text(name, "network")),
        parse=_responses.shadow_reports,
    )


def set_profile(profile: Profile) -> Call[Profile]:
    """Request that a version keeps a profile; the result is the profile with the time at which it was set.

    Raises:
        InvalidFieldError: The profile is too large.
    """
    return Call(
        method="SetProfile",
        request=networks_v1.SetProfileRequest(
            network=profile.network, version=str(profile.version), profile=profiles.to_message(profile)
        ),
        parse=partial(_responses.profile_set, profile),
    )


def get_profile(name: str, version: str | int) -> Call[Profile]:
    """Request the profile of a version."""
    return Call(
        method="GetProfile",
        request=networks_v1.GetProfileRequest(
            network=fields.text(name, "network"), version=fields.version_reference(version)
        ),
        parse=_responses.profile,
    )


def delete_profile(name: str, version: str | int) -> Call[int]:
    """Request that a version has no profile; the result is the version's number."""
    return Call(
        method="DeleteProfile",
        request=networks_v1.DeleteProfileRequest(
            network=fields.text(name, "network"), version=fields.version_reference(version)
        ),
        parse=lambda response: int(response.version),
    )


def delete_alias(name: str, alias: str) -> Call[NetworkInfo]:
    """Request the deletion of an alias."""
    return Call(
        method="DeleteAlias",
        request=networks_v1.DeleteAliasRequest(network=fields.text(name, "network"), alias=fields.text(alias, "alias")),
        parse=lambda response: _responses.network(response.network),
    )


def watch(prefix: str) -> Call[NetworkChange]:
    """Request the state of the networks, then every change."""
    return Call(
        method="WatchNetworks",
        request=networks_v1.WatchNetworksRequest(name_prefix=fields.text(prefix, "prefix")),
        parse=_responses.change,
    )


def health(*, wait_for_ready: bool = False) -> Call[bool]:
    """Request whether the server serves."""
    return Call(
        method="Check", request=b"", parse=lambda response: bool(response == SERVING), wait_for_ready=wait_for_ready
    )
