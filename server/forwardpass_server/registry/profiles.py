"""Profiles of versions: the usual distribution of their values."""

from forwardpass.profiles import Profile, Subject, check_nodes, check_size, from_message, to_message
from forwardpass.v1.profile_pb2 import Profile as ProfileMessage

from forwardpass_server.registry.catalog import Catalog
from forwardpass_server.registry.reader import RegistryReader
from forwardpass_server.registry.state import NetworkState, VersionState
from forwardpass_server.registry.storage.store import profile_not_found


class Profiles:
    """Reads and writes the profiles of versions. All methods may be called in any thread.

    Every write raises `StoreUnavailableError` if the store cannot be written now; the snapshot stays as it is.
    """

    def __init__(self, catalog: Catalog, reader: RegistryReader) -> None:
        self._catalog = catalog
        self._store = catalog.store
        self._contents = catalog.contents
        self._reader = reader

    def set(self, name: str, reference: str, message: ProfileMessage) -> tuple[NetworkState, int]:
        """Set the profile of a version; return the network, and the version's number.

        It replaces the version's earlier profile. Setting the same one again changes nothing, so a retry is safe.

        Args:
            name: The network's name.
            reference: The version.
            message: The profile.

        Raises:
            NetworkNotFoundError: There is no such network.
            VersionNotFoundError: The network has no version of this number.
            AliasNotFoundError: The network has no alias of the reference's name.
            InvalidRequestError: The profile is not one of this version, or is too large.
            NetworkCorruptError: The version is damaged.
            StoreUnavailableError: The store cannot be used now.
        """
        check_size(message)  # before anything is made of it
        version = self._reader.version(name, reference)
        summary = self._reader.read_intact_summary(version)
        profile = from_message(message, Subject(name, version.number, version.digest))
        layers = {layer.name: layer.nodes for layer in summary.layers}
        check_nodes(profile, summary.inputs.names, layers, summary.outputs)
        content = to_message(profile).SerializeToString(deterministic=True)
        with self._catalog.writing():
            self._reader.snapshot.version_by_number(name, version.number)
            result = self._store.set_profile(name, version.number, content, rows=profile.rows)
            return self._catalog.apply(result), version.number

    def read(self, version: VersionState) -> Profile:
        """Read the profile of a version. This may wait for the store.

        Raises:
            ProfileNotFoundError: The version has none.
            NetworkCorruptError: The stored profile is damaged.
            StoreUnavailableError: The store cannot be read now.
        """
        network = self._reader.network(version.network)
        row = network.profiles.get(version.number)
        profile = None if row is None else self._contents.read_profile(version, row)
        if profile is None:
            raise profile_not_found(version.network, version.number)
        return profile

    def delete(self, name: str, reference: str) -> tuple[NetworkState, int]:
        """Delete the profile of a version; return the network, and the version's number.

        Raises:
            ProfileNotFoundError: The version has none.
            NetworkNotFoundError: There is no such network.
            VersionNotFoundError: The network has no version of this number.
            AliasNotFoundError: The network has no alias of the reference's name.
            StoreUnavailableError: The store cannot be written now.
        """
        with self._catalog.writing():
            number = self._reader.version(name, reference).number
            return self._catalog.apply(self._store.delete_profile(name, number)), number
