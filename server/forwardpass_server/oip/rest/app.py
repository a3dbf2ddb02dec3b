"""The ASGI application: each HTTP request becomes a call with the interceptors of gRPC calls around it."""

import asyncio
import json
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from forwardpass.http_server.connected import while_connected
