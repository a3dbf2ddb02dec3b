"""Background load: a process whose calls keep a server busy while other calls are measured.

    python -m benchmarks.background_load ADDRESS upload|predict

It prints `begun` after the first response, continues until SIGTERM, and then prints the number of responses.
"""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from typing import Final

import grpc
from forwardpass import spec
from forwardpass.v1.network_service_pb2 import DeleteNetworkRequest, UploadHeader, UploadNetworkRequest

from benchmarks import networks
from benchmarks.server import PREDICT

SERVICE: Final = "/forwardpass.v1.NetworkService/"
WIDE: Final[networks.Sizes] = (2500, 2500, 2500)
"""50 MB of float32."""
MANY_ROWS: Final = 100_000
CHUNK_BYTES: Final = 2**20


def main() -> None:
    """Call until SIGTERM."""
    _, address, name = sys.argv
    os.nice(19)  # with two cores, the measured load takes precedence
    stopped: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stopped.append(number))
    count = 0
    with grpc.insecure_channel(address) as channel:
        work = WORKS[name](channel)
        while not stopped:
            work()
            count += 1
            if count == 1:
                print("begun", flush=True)
    print(count, flush=True)


def upload(channel: grpc.Channel) -> Callable[[], object]:
    """Register a network of 50 MB and delete it, repeatedly."""
    content = spec.to_safetensors(networks.network(WIDE))
    name = "wide"
    header = UploadHeader(network=name, size_bytes=len(content))
    chunks = [content[start : start + CHUNK_BYTES] for start in range(0, len(content), CHUNK_BYTES)]
    messages = [UploadNetworkRequest(header=header), *(UploadNetworkRequest(chunk=chunk) for chunk in chunks)]
    requests = [message.SerializeToString() for message in messages]
    upload: grpc.StreamUnaryMultiCallable[bytes, bytes] = channel.stream_unary(f"{SERVICE}UploadNetwork")
    delete: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(f"{SERVICE}DeleteNetwork")
    deletion = DeleteNetworkRequest(network=name).SerializeToString()

    def work() -> None:
        sent: Iterator[bytes] = iter(requests)
        upload(sent, timeout=120)
        delete(deletion, timeout=120)

    return work


def predict(channel: grpc.Channel) -> Callable[[], object]:
    """Predict 100,000 rows in one call, repeatedly."""
    call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(PREDICT)
    request = networks.request(networks.MIDDLE, MANY_ROWS)
    return lambda: call(request, timeout=120)


WORKS: Final = {"upload": upload, "predict": predict}

if __name__ == "__main__":
    main()
