"""Serve an ONNX file with Triton: `python serve.py MODEL NAME`; run with the Python of its environment."""

import os
import signal
import socket
import sys
import sysconfig

import numpy as np
import onnxruntime as ort
from pytriton.decorators import batch
from pytriton.model_config import DynamicBatcher, ModelConfig, Tensor
from pytriton.triton import Triton, TritonConfig

MAX_BATCH = 64
"""Calls that Triton computes together, at most; as many are in flight."""


def main(path: str, name: str) -> None:
    """Serve until a signal ends the process."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    (given,), (made,) = session.get_inputs(), session.get_outputs()

    @batch
    def infer(inputs: np.ndarray) -> dict[str, np.ndarray]:
        return {"outputs": session.run(None, {"rows": inputs})[0]}

    # The ready line is all that goes to stdout; what the server logs goes to stderr.
    stdout = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    grpc_port, http_port = _free_ports(2)
    config = TritonConfig(
        grpc_address="127.0.0.1",
        grpc_port=grpc_port,
        http_address="127.0.0.1",
        http_port=http_port,
        allow_metrics=False,
    )
    # Triton's stub embeds Python: this one, not the system's, whose library may not fit the standard library here.
    os.environ["LD_LIBRARY_PATH"] = sysconfig.get_config_var("LIBDIR")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    with Triton(config=config) as triton:
        triton.bind(
            model_name=name,
            infer_func=infer,
            inputs=[Tensor(name="inputs", dtype=np.float32, shape=(given.shape[1],))],
            outputs=[Tensor(name="outputs", dtype=np.float32, shape=(made.shape[1],))],
            config=ModelConfig(max_batch_size=MAX_BATCH, batcher=DynamicBatcher()),
        )
        triton.run()
        print(f"pytriton ready on 127.0.0.1:{grpc_port}", file=stdout, flush=True)
        signal.pause()


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


if __name__ == "__main__":
    main(*sys.argv[1:])
