"""Rollout: aliases, their history, and shadows."""

from collections.abc import Sequence
from contextlib import suppress

from forwardpass.differences import TOLERANCE, checked_tolerance
from forwardpass.errors import Fault, ForwardpassError, InvalidFieldError
from forwardpass.spec import check_name

from forwardpass_server.registry.catalog import Catalog
from forwardpass_server.registry.reader import RegistryReader
from forwardpass_server.registry.snapshot import is_number
from forwardpass_server.registry.state import NetworkState
from forwardpass_server.registry.storage.alias_history import find_rollback_target
from forwardpass_server.registry.storage.store import LATEST, AliasMoveRow
from forwardpass_server.registry.summary import Summary


class Rollout:
    """Writes aliases and shadows. All methods may be called in any thread.

    Every write raises `StoreUnavailableError` if the store cannot be written now; the snapshot stays as it is.
    """

    def __init__(self, catalog: Catalog, reader: RegistryReader) -> None:
        self._catalog = catalog
        self._store = catalog.store
        self._reader = reader

    def set_alias(self, name: str, alias: str, reference: str, *, expected: int | None = None) -> NetworkState:
        """Point an alias at a version, given by number or by an alias that names it now.

        If the alias names that version already, nothing changes, whatever `expected` is: so a retry is safe.

        Args:
            name: The network's name.
            alias: The alias.
            reference: The version.
            expected: The version that the alias must name before; 0 if it must not exist, None for any.

        Raises:
            InvalidFieldError: The alias has a wrong form, or the reference is empty.
            NetworkNotFoundError: There is no such network.
            VersionNotFoundError: The network has no version of this number.
            AliasNotFoundError: The network has no alias of the reference's name.
            AliasMovedError: The alias names another version than expected.
            StoreUnavailableError: The store cannot be written now.
        """
        check_name(alias, "alias")
        if not reference:
            raise _invalid("version", "is empty; give the version's number, or an alias that names it")
        if (name, alias) in self._catalog.preload:
            with suppress(ForwardpassError):  # every error is raised below, or at the first call
                self._reader.load_reference(name, reference)
        with self._catalog.writing():
            number = self._reader.version(name, reference).number
            return self._catalog.apply(self._store.set_alias(name, alias, number, expected=expected))

    def rollback_alias(self, name: str, alias: str, *, expected: int | None = None) -> tuple[NetworkState, int]:
        """Point an alias at the version that it named before; return the network, and the number named until now.

        Each rollback goes one move further back. Deleted versions are skipped.

        Args:
            name: The network's name.
            alias: The alias.
            expected: The version that the alias must name before; None for any.

        Raises:
            NetworkNotFoundError: There is no such network.
            AliasNotFoundError: The network has no such alias.
            AliasMovedError: The alias names another version than expected.
            NoEarlierVersionError: There is no version to return to.
            StoreUnavailableError: The store cannot be written now.
        """
        if (name, alias) in self._catalog.preload:
            with suppress(ForwardpassError):  # as in `set_alias`
                current, existing = self._reader.version(name, alias).number, self._reader.network(name).versions
                moves = self._store.list_alias_moves(name, alias)
                target = find_rollback_target(name, alias, moves, current=current, existing=existing)
                self._reader.load_reference(name, str(target.number))
        with self._catalog.writing():
            before = self._reader.snapshot.version_of_alias(name, alias).number
            return self._catalog.apply(self._store.rollback_alias(name, alias, expected=expected)), before

    def list_alias_moves(self, name: str, alias: str) -> tuple[AliasMoveRow, ...]:
        """Read the last moves of an alias, newest first. This waits for the store.

        Raises:
            NetworkNotFoundError: There is no such network.
            AliasNotFoundError: The network has no such alias.
            StoreUnavailableError: The store cannot be read now.
        """
        self._reader.snapshot.version_of_alias(name, alias)
        return self._store.list_alias_moves(name, alias)

    def delete_alias(self, name: str, alias: str) -> NetworkState:
        """Delete an alias with its shadow and its history.

        Raises:
            InvalidFieldError: The alias is `latest`, which every network keeps.
            NetworkNotFoundError: There is no such network.
            AliasNotFoundError: The network has no such alias.
            StoreUnavailableError: The store cannot be written now.
        """
        with self._catalog.writing():
            self._reader.snapshot.version_of_alias(name, alias)
            if alias == LATEST:
                raise _invalid("alias", "is `latest`, which every network has; move it with SetAlias")
            return self._catalog.apply(self._store.delete_alias(name, alias))

    def set_shadow(
        self, name: str, of: str, reference: str, *, share: float, tolerance: float | None = None
    ) -> NetworkState:
        """Compute a version as the shadow of another one, on a share of its rows.

        Args:
            name: The network's name.
            of: The live version: a number, or an alias, which means the version that it names at the time.
            reference: The version that is computed as the shadow.
            share: The share of rows, above 0 and up to 1.
            tolerance: Differences up to this much times `max(1, |loaded number|)` are accepted; None means 1e-9, or
                1e-4 if one of the two versions is float32.

        Raises:
            InvalidFieldError: The share or tolerance is out of range, the two versions are the same, or their inputs or
                outputs have different names.
            NetworkNotFoundError: There is no such network.
            VersionNotFoundError: The network has no version of one of the numbers.
            AliasNotFoundError: The network has no alias of one of the names.
            NetworkCorruptError: One of the two versions is damaged.
            StoreUnavailableError: The store cannot be used now.
        """
        if not 0 < share <= 1:
            raise _invalid("share", f"is {share}; must be a share of the rows, above 0 and up to 1")
        live, version = self._reader.version(name, of), self._reader.version(name, reference)
        live_summary = self._reader.read_intact_summary(live)
        summary = self._reader.read_intact_summary(version)
        _check_comparable(live_summary, summary, version.number)
        coarser = "float32" if "float32" in {live_summary.dtype, summary.dtype} else "float64"
        tolerance = checked_tolerance(tolerance, TOLERANCE[coarser])
        of = str(live.number) if is_number(of) else of or LATEST
        if live.number == version.number:
            raise _invalid("of", f"is version {version.number} itself; name another one to compare it with")
        with self._catalog.writing():
            result = self._store.set_shadow(name, of, version.number, share=share, tolerance=tolerance)
            return self._catalog.apply(result)

    def clear_shadow(self, name: str, of: str) -> NetworkState:
        """Remove a shadow; if there is none, nothing changes.

        Raises:
            NetworkNotFoundError: There is no such network.
            StoreUnavailableError: The store cannot be written now.
        """
        with self._catalog.writing():
            self._reader.network(name)
            return self._catalog.apply(self._store.clear_shadow(name, of or LATEST))


def _check_comparable(live: Summary, shadow: Summary, number: int) -> None:
    """Check that a shadow has the same inputs, categories and outputs as the version it is compared with, in order.

    Raises:
        InvalidFieldError: Their names or order differ.
    """
    for what, expected, actual in (
        ("inputs", live.inputs.names, shadow.inputs.names),
        ("categories", _categories(live), _categories(shadow)),
        ("outputs", live.outputs, shadow.outputs),
    ):
        if expected != actual:
            raise _invalid(
                "version",
                f"is {number}, whose {what} are {_join(actual)}; must be those of the version that it is compared "
                f"with, {_join(expected)}",
            )


def _categories(summary: Summary) -> tuple[str, ...]:
    return tuple(f"{feature.name}={category}" for feature in summary.inputs.features for category in feature.categories)


def _join(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")


def _invalid(field: str, message: str) -> InvalidFieldError:
    return InvalidFieldError(f"{field}: {message}", faults=[Fault(path=field, message=message)], field=field)
