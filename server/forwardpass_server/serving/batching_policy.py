"""Every bound that decides what is batched, computed inline, handed to workers or cut."""

from dataclasses import dataclass

from forwardpass_server.memory import COUNTED_BYTES


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchingPolicy:
    """The bounds by which concurrent requests become batches, and batches are computed at once or in steps.

    No bound changes a bit of any response: exact products make a row's outputs independent of its batch.

    Attributes:
        max_gathered_requests: Requests that a transport takes at once. More would delay the first of them, and a
            matrix of 512 rows is as efficient as any.
        inline_request_bytes: Bytes up to which a request is decoded in the transport's thread. A larger one takes a
            millisecond or more, during which that thread would take no other request.
        inline_body_bytes: Bytes up to which a JSON body is decoded or encoded in the event loop, in some milliseconds.
        step_flops: Floating-point operations that are done at once: about a millisecond on one core of 2020. A batch
            that takes no more is computed in the transport's thread; a larger one goes to the workers, who cut it into
            steps of this size and take turns.
        event_loop_flops: Floating-point operations up to which a batch is computed in the event loop, which has every
            connection of its engine to serve; more would keep calls waiting that could join the batch.
        joining_flops: Floating-point operations from which a batch joins one of its kind that waits for the workers,
            since rows cost less together; a smaller one is computed at once.
        max_joined_flops: Floating-point operations up to which batches join: some ten steps.
        flops_per_response_byte: Floating-point operations that take as long as encoding one byte of a response.
        counted_response_bytes: Bytes of a response from which it is computed when there is room to send it; the number
            of calls bounds the others.
        own_batch_rows: Rows from which a request gets a batch of its own: they are computed as quickly alone as
            together with others, no other request waits for them, and they need not be copied.
        max_workers: Threads for what is not computed in a transport's thread.
        max_stream_requests: Requests of one stream that are computed at once; further ones wait in the connection.
        prepared_requests: Prepared requests that are kept for each method.
        prepared_places: Places of the tensor's data that are tried for each length of a request.
        prepared_head_bytes: Bytes around the tensor's data up to which a request is prepared. Callers choose them, so
            this times `prepared_requests` bounds the memory that callers can take.
        prepared_data_bytes: Bytes of the tensor's data up to which a request is prepared. Above, decoding costs
            little beside computing.
        shadow_queue_bytes: Bytes of rows and outputs that wait to be computed by shadows; further rows are dropped.
        shadow_piece_bytes: Bytes of rows and outputs that a shadow computes at once.
    """

    max_gathered_requests: int = 512
    inline_request_bytes: int = 256 * 1024
    inline_body_bytes: int = 16 * 1024
    step_flops: int = 20_000_000
    event_loop_flops: int = 2_000_000
    joining_flops: int = 2_000_000
    max_joined_flops: int = 320_000_000
    flops_per_response_byte: int = 8
    counted_response_bytes: int = COUNTED_BYTES
    own_batch_rows: int = 128
    max_workers: int = 4
    max_stream_requests: int = 64
    prepared_requests: int = 4096
    prepared_places: int = 8
    prepared_head_bytes: int = 1024
    prepared_data_bytes: int = 256 * 1024
    shadow_queue_bytes: int = 16 * 2**20
    shadow_piece_bytes: int = 256 * 1024

    def workers(self, cores: int) -> int:
        """Return how many threads of workers a machine gets: one core is left for the transports."""
        return max(1, min(self.max_workers, cores - 1))
