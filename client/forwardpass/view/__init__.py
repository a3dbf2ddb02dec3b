"""A page that shows the networks of any server, and the JSON API that it uses. Needs the extra `view`.

`ViewServer` serves both. It is a client like any other: each request becomes one gRPC call with the token that the
request has. The paths of the API are those that the protos declare by `google.api.http`; methods that change
something are not served.

The static files are built from client/page by `make page`.
"""

from forwardpass.view.limits import ViewLimits
from forwardpass.view.server import ViewServer, local_endpoint

__all__ = ["ViewLimits", "ViewServer", "local_endpoint"]
