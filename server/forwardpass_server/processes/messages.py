"""The messages between the owner of the registry and a worker process, over a socket that only these two have.

The owner sends `Start`, and the worker opens the registry and responds with `Opened`, or with `Failed`. From then on
every change waits for the worker: `Follow`, to which it responds with `Followed`. After the first one it listens and
says `Serving`. `Collect`, `Relay` and `Retire` have responses too, `Stop` ends it. `Counts` and `Damaged` may come
at any time.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from forwardpass_server.registry import CollectedStatistics, ShadowTotals
from forwardpass_server.rpc import CountsByCaller


@dataclass(frozen=True, kw_only=True, slots=True)
class Start:
    """The first message to a worker process.

    Attributes:
        settings: All settings as JSON.
        tokens: The text of the tokens file as the owner has read it; None without one.
        address: Where it listens, with the real port.
        fallback: The path of the Unix socket to which it passes on what is not hot.
        processes: The number of worker processes.
        place: Its place in the shared counts.
    """

    settings: str
    tokens: str | None
    address: str
    fallback: str
    processes: int
    place: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Follow:
    """The registry has a revision, which the worker must read before it says so."""

    revision: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Collect:
    """The worker has to send its counts; `number` is that of the response."""

    number: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Relay:
    """The worker has to pass on all that the owner has sent through it, and respond with this message."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Retire:
    """Another process has taken the worker's place: it takes no new connections, and lets go of those it has.

    Attributes:
        patience: Seconds to wait for the clients of its connections.
    """

    patience: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Retired:
    """The response to `Retire`, with the number of connections whose clients have not closed them in time."""

    connections: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Stop:
    """No call is in flight: the worker ends."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Opened:
    """The worker has read the registry up to a revision, and serves nothing yet."""

    revision: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Failed:
    """The worker cannot start; the sentence says why."""

    sentence: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Followed:
    """The response to a `Follow` of the same revision, also if the database could not be read."""

    revision: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Serving:
    """The worker takes calls."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Damaged:
    """The worker has found the content of a version damaged, at a revision of the registry; the owner sends it back."""

    network: str
    number: int
    digest: str
    revision: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Counts:
    """What a worker has counted since its last message of this kind.

    Attributes:
        number: That of the `Collect` to which it responds; 0 if it was sent unasked.
        statistics: Those of versions, by network and number.
        shadows: Those of shadows, by network, `of` and the number of the live version.
        errors: Errors by reason.
        callers: Calls and rejections by the caller's name.
        waiting_seconds: The work that waits now.
        plans: The number of compiled versions in its memory, and their bytes.
    """

    number: int
    statistics: Mapping[tuple[str, int], CollectedStatistics] = field(default_factory=dict)
    shadows: Mapping[tuple[str, str, int], ShadowTotals] = field(default_factory=dict)
    errors: Mapping[str, int] = field(default_factory=dict)
    callers: CountsByCaller = field(default_factory=CountsByCaller)
    waiting_seconds: float = 0.0
    plans: tuple[int, int] = (0, 0)
