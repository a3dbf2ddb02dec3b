"""HTTP server of an ASGI application: uvicorn with bounds on heads, idle connections and unread responses.

It needs the packages of the extra `rest` or `view`.
"""

from forwardpass.http_server.server import HttpApp, HttpServer

__all__ = ["HttpApp", "HttpServer"]
