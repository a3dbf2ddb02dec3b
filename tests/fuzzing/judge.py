"""The judgement of one input: what it raised that it must not, and what it took."""

import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.fuzzing.targets import Target

CPU_SECONDS: Final = 1.0
MEMORY_BYTES: Final = 256 * 2**20

_PROCESS: Final = Path("/proc/self")


@dataclass(frozen=True, slots=True)
class Finding:
    """What a decoder did wrong; two inputs that have an equal one are one finding.

    Attributes:
        what: The error and the line that raised it, or the limit that was passed.
        details: The traceback, or the figures.
    """

    what: str
    details: str


def judge(target: Target, content: bytes, *, cpu_seconds: float = CPU_SECONDS) -> Finding | None:
    """Decode an input; return what is wrong, or None."""
    # Let the peak be the memory of now: https://docs.kernel.org/filesystems/proc.html
    (_PROCESS / "clear_refs").write_text("5")
    before, begun = _peak(), time.process_time()
    try:
        target.decode(content)
    except target.errors:
        pass
    except Exception as error:  # noqa: BLE001 - whatever else is raised is what is looked for
        place = traceback.extract_tb(error.__traceback__)[-1]
        return Finding(
            f"{type(error).__name__} at {Path(place.filename).name}:{place.lineno}",
            "".join(traceback.format_exception(error)),
        )
    seconds, taken = time.process_time() - begun, _peak() - before
    if seconds > cpu_seconds:
        return Finding("slow", f"took {seconds:.1f} s of CPU")
    return Finding("large", f"took {taken / 2**20:.0f} MB") if taken > MEMORY_BYTES else None


def _peak() -> int:
    return int((_PROCESS / "status").read_text().split("VmHWM:")[1].split()[0]) * 1024
