"""HTTP server of an ASGI application: uvicorn with bounds on heads, idle connections and unread responses.

It needs the packages of the extra `rest` or `view`.
"""

from forwardpass.http_server.protocol import CLIENT_CERTIFICATE
from forwardpass.http_server.server import HttpApp, HttpServer

__all__ = ["CLIENT_CERTIFICATE", "HttpApp", "HttpServer"]
