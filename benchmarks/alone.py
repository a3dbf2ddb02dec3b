"""`forwardpass-server` with batching off: takes the same command line, and computes each call alone.

Calls arrive and leave as they always do, as many at a time as wait; only what lies between is done call by call:
reading, one product for each layer, writing the reply. So the difference is what sharing that work is worth,
and nothing else.
"""

from collections.abc import Sequence

from forwardpass_server import app
from forwardpass_server.cli import main
from forwardpass_server.serving import Predictor, RawRequest
from forwardpass_server.serving.predictor import Sorted


class Alone(Predictor):
    """A predictor in whose batches there is one call."""

    def sort(self, calls: Sequence[RawRequest], *, into: Sorted | None = None, final: bool = False) -> Sorted:
        """Read calls, each into a batch of its own."""
        everything = into or Sorted()
        for call in calls:
            found = super().sort([call], final=final)
            everything.batches += found.batches
            everything.refused += found.refused
            everything.cold += found.cold
            everything.behind += found.behind
        return everything


if __name__ == "__main__":
    app.Predictor = Alone  # type: ignore[attr-defined]
    main()
