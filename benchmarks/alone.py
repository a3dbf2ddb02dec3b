"""`forwardpass-server` with batching off: takes the same command line, and computes each call alone.

Calls arrive and leave as they always do, as many at a time as wait; only what lies between is done call by call:
reading, one product for each layer, writing the reply. So the difference is what sharing that work is worth,
and nothing else.
"""

from functools import partial

from forwardpass_server import app
from forwardpass_server.cli import main
from forwardpass_server.serving import BatchingPolicy

if __name__ == "__main__":
    app.BatchingPolicy = partial(BatchingPolicy, own_batch_rows=1)  # type: ignore[assignment,attr-defined] # makes one
    main()
