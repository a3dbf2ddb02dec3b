"""The row of the Python client: many concurrent callers in this process, on the load's core."""

import asyncio
import time
from collections.abc import Mapping
from typing import Final

from forwardpass import AsyncClient

from benchmarks import networks
from benchmarks.lab import LOAD_CORE, Lab, on_core
from benchmarks.needs import CORES
from benchmarks.server import Server
from benchmarks.table import Finding, Goal, Row, ratio

CALLERS: Final = 64


def measure(lab: Lab) -> Mapping[str, Finding]:
    """Compare a client that coalesces waiting calls with one that sends each call by itself."""
    with Server(lab, networks.MIDDLE) as server, on_core(LOAD_CORE):
        single, coalesced = (
            asyncio.run(_calls_per_second(lab, server.address, coalesce=coalesce)) for coalesce in (False, True)
        )
    return {"": ratio(coalesced, single, calls_per_s=coalesced, single_calls_per_s=single)}


async def _calls_per_second(lab: Lab, address: str, *, coalesce: bool) -> float:
    row = networks.rows(networks.MIDDLE, 1)[0]
    name = f"net-{networks.label(networks.MIDDLE)}"
    async with AsyncClient(address, coalesce=coalesce) as client:

        async def caller(end: float) -> int:
            count = 0
            while time.perf_counter() < end:
                await client.predict(name, row)
                count += 1
            return count

        async def together(seconds: float) -> int:
            end = time.perf_counter() + seconds
            return sum(await asyncio.gather(*(caller(end) for _ in range(CALLERS))))

        await together(0.5)
        begun = time.perf_counter()
        return await together(lab.seconds) / (time.perf_counter() - begun)


ROWS: Final = (
    Row(
        number=10,
        goals={"": Goal(title="AsyncClient, 64 callers: coalesce on / off", wanted=10)},
        measure=measure,
        needs=(CORES,),
    ),
)
