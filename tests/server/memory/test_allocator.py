"""Memory that is used again instead of mapped anew."""

import subprocess
import sys
from pathlib import Path

import pytest
from forwardpass_server.memory import allocator

COUNT = """
import resource, threading
import allocator

def count_faults():
    def run():
        before = resource.getrusage(resource.RUSAGE_THREAD).ru_minflt
        for _ in range(20):
            blocks = [b"x" * 120_000 for _ in range(10)]
            del blocks
        faults.append(resource.getrusage(resource.RUSAGE_THREAD).ru_minflt - before)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()

faults = []
allocator.limit_arenas()
count_faults()
allocator.reuse_blocks()
count_faults()
print(*faults)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc")
def test_pages_of_requests_are_mapped_once() -> None:
    # A process of its own: what others have freed before decides what is used again.
    folder = Path(allocator.__file__).parent
    ran = subprocess.run([sys.executable, "-c", COUNT], cwd=folder, check=True, capture_output=True, text=True)
    by_default, reused = map(int, ran.stdout.split())
    assert by_default > 2_000
    assert reused < 1_000
