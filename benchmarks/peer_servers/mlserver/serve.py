"""Serve an ONNX file with MLServer: `python serve.py MODEL NAME`; run with the Python of its environment."""

import asyncio
import os
import socket
import sys

import onnxruntime as ort
from mlserver import MLModel, MLServer, ModelSettings, Settings
from mlserver.codecs import NumpyCodec
from mlserver.settings import ModelParameters
from mlserver.types import InferenceRequest, InferenceResponse


class Network(MLModel):
    """A custom runtime, as MLServer's manual has it."""

    async def load(self) -> bool:
        """Open the model."""
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        path = self.settings.parameters.uri
        self._session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Compute the rows of a request."""
        (outputs,) = self._session.run(None, {"rows": NumpyCodec.decode_input(payload.inputs[0])})
        return InferenceResponse(model_name=self.name, outputs=[NumpyCodec.encode_output("outputs", outputs)])


async def main(path: str, name: str) -> None:
    """Serve until the process is ended."""
    # The ready line is all that goes to stdout; what the server logs goes to stderr.
    stdout = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    grpc_port, http_port = _free_ports(2)
    # With no process besides: on one core they only cost. No metrics: nobody reads them here.
    settings = Settings(
        debug=False,
        host="127.0.0.1",
        http_port=http_port,
        grpc_port=grpc_port,
        metrics_endpoint=None,
        parallel_workers=0,
    )
    model = ModelSettings(name=name, implementation="serve.Network", parameters=ModelParameters(uri=path))
    print(f"mlserver ready on 127.0.0.1:{grpc_port}", file=stdout, flush=True)
    await MLServer(settings).start([model])


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
