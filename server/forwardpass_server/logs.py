"""Logging as JSON lines on stderr, one object for each message; callers cannot fill the log.

A caller can cause a message as often as it can call. So messages of one place in the code are limited in their rate,
and every text in its length. `cli.main` turns off the lines of grpc-core, which do not come through here.
"""

import json
import logging
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

MAX_CHARACTERS: Final = 16 * 1024
"""Characters of a message or a traceback; the middle of a longer one is left out."""
BURST: Final = 20
"""Messages of one place in the code that are written however quickly they come."""
PER_SECOND: Final = 1.0
"""Messages of one place in the code that are written in each second after that."""

_EXTRAS: Final = ("request_id", "caller", "suppressed")


class JsonLines(logging.Formatter):
    """Formats each record as one line of JSON, in ASCII."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without a line break."""
        entry: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _shortened(record.getMessage()),
        }
        entry |= {name: value for name in _EXTRAS if (value := getattr(record, name, None)) is not None}
        if record.exc_info:
            entry["exception"] = _shortened(self.formatException(record.exc_info))
        return json.dumps(entry, ensure_ascii=True, default=str)


class RateLimit(logging.Filter):
    """Drops messages of a place in the code that come too quickly; the next one says how many, as `suppressed`."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._lock = threading.Lock()
        # By place: how many may be written now, when that was so, and how many were dropped.
        self._places: dict[tuple[str, int, str, int], tuple[float, float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a record is written."""
        place = (record.name, record.levelno, record.pathname, record.lineno)
        now = self._clock()
        with self._lock:
            left, since, dropped = self._places.get(place, (float(BURST), now, 0))
            left = min(float(BURST), left + (now - since) * PER_SECOND)
            if left < 1:
                self._places[place] = (left, now, dropped + 1)
                return False
            self._places[place] = (left - 1, now, 0)
        if dropped:
            record.suppressed = dropped
        return True


def configure(level: str) -> None:
    """Write messages of `level` and more important ones to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    handler.addFilter(RateLimit())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # At each start Alembic says at level info that there is nothing to migrate.
    logging.getLogger("alembic").setLevel(logging.WARNING)


def _shortened(text: str) -> str:
    if len(text) <= MAX_CHARACTERS:
        return text
    half = MAX_CHARACTERS // 2
    return f"{text[:half]} [{len(text) - 2 * half:,} characters are left out] {text[-half:]}"
