"""`forwardpass-server` without batching: it has the same command line, and computes each call in a batch of its own.

The transport takes and sends calls together as usual; only decoding, the products of each layer and encoding are done
call by call. So the difference to the usual server is the effect of batching, and nothing else.
"""

from functools import partial

from forwardpass_server import app
from forwardpass_server.cli import main
from forwardpass_server.serving import BatchingPolicy

if __name__ == "__main__":
    app.BatchingPolicy = partial(BatchingPolicy, own_batch_rows=1)  # type: ignore[assignment,attr-defined] # called like the class
    main()
