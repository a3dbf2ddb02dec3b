"""Profiling: the traces of any number of rows, part by part, as a profile."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from forwardpass._requests import fields, networks, predictions
from forwardpass._requests.call import Call
from forwardpass.chunks import chunk_rows, count_rows, slice_rows
from forwardpass.errors import ForwardpassError
from forwardpass.models import Trace
from forwardpass.profiles import Profile, ProfileBuilder
from forwardpass.rows import UnreadableRows

PART_ROWS: Final = 1024
"""The most rows that are traced in a call."""

_FIRST_ROWS: Final = 8
"""The rows of the first call, whose response says how much a row is."""

_RESPONSE_BYTES: Final = 2 * 2**20
"""About the bytes of the numbers in a response."""


class Profiling:
    """The calls that make a profile: a Trace for each part of the rows, then a SetProfile.

    All rows are traced by the version that traced the first ones, wherever its alias moves meanwhile.
    """

    def __init__(self, name: str, rows: Iterable[Any], version: str | int, layers: Iterable[str]) -> None:
        self._name = name
        self._rows = rows
        self._version: str | int = version
        self._layers = [layers] if isinstance(layers, str) else [*layers]
        self._builder = ProfileBuilder()
        self._step = _FIRST_ROWS

    def traces(self) -> Iterator[tuple[int, Call[Trace]]]:
        """Yield the index of the first row of each part, and the call that traces it; `add` takes its result.

        Raises:
            ForwardpassError: Rows cannot be read; its fact `firstRow` is the index of the first of them.
        """
        for first, chunk in chunk_rows(self._rows, PART_ROWS):
            start, count = 0, 1 if isinstance(chunk, UnreadableRows) else count_rows(chunk)
            while start < count:
                end = min(start + self._step, count)
                with self.naming_rows(first + start):
                    part = (
                        chunk
                        if isinstance(chunk, UnreadableRows) or end - start == count
                        else slice_rows(chunk, start, end)
                    )
                    call = predictions.trace(self._name, part, version=self._version, layers=self._layers)
                yield first + start, call
                start = end

    @contextmanager
    def naming_rows(self, first: int) -> Iterator[None]:
        """Name the first row of a part in an error about it."""
        try:
            yield
        except ForwardpassError as error:
            error.facts["firstRow"] = str(first)
            error.add_note(f"in the rows from {first} on, counted from 0")
            raise

    def add(self, trace: Trace) -> None:
        """Add the traced rows of a part."""
        self._version = trace.version
        self._builder.add(trace)
        numbers = (
            trace.outputs.nbytes + trace.inputs.nbytes + sum(2 * layer.activation.nbytes for layer in trace.layers)
        )
        self._step = min(max(_RESPONSE_BYTES * len(trace.outputs) // max(numbers, 1), 1), PART_ROWS)

    def finish(self) -> Call[Profile]:
        """Return the call that sets the profile.

        Raises:
            InvalidFieldError: There were no rows, or the profile is too large.
        """
        if not self._builder.rows:
            raise fields.invalid("rows", "are none; a profile needs at least one row")
        return networks.set_profile(self._builder.finish())
