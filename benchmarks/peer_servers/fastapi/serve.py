"""Serve an ONNX file with FastAPI: `python serve.py MODEL`; run with the Python of its environment."""

import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
import onnxruntime as ort
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel


class Rows(BaseModel):
    """The body of a request."""

    rows: list[list[float]]


class Outputs(BaseModel):
    """The body of a response."""

    outputs: list[list[float]]


def main(path: str) -> None:
    """Serve until the process is ended."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen(1024)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        print(f"fastapi ready on 127.0.0.1:{listening.getsockname()[1]}", flush=True)
        yield

    app = FastAPI(lifespan=lifespan)

    @app.post("/predict")
    async def predict(request: Rows) -> Outputs:
        (outputs,) = session.run(None, {"rows": np.array(request.rows, dtype=np.float32)})
        return Outputs(outputs=outputs.tolist())

    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False))
    server.run(sockets=[listening])


if __name__ == "__main__":
    main(sys.argv[1])
