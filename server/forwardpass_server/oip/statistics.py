"""The statistics of a version as ModelStatistics returns them; the size of a batch is its rows, as Triton's is."""

from forwardpass_server.oip.v2 import inference_pb2 as v2
from forwardpass_server.registry import VersionState


def statistics(version: VersionState) -> v2.ModelStatistics:
    """Return the statistics of a version since the server started."""
    counted = version.runtime.collect_statistics()
    whole = counted.all_sizes
    calls, batches = whole.calls, whole.batches
    return v2.ModelStatistics(
        name=version.network,
        version=str(version.number),
        last_inference=int(counted.last_time * 1e3),
        inference_count=whole.rows,
        execution_count=batches,
        inference_stats=v2.InferStatistics(
            success=_duration(calls, whole.total_seconds),
            fail=_duration(counted.errors, counted.error_seconds),
            queue=_duration(calls, whole.queue_seconds),
            compute_input=_duration(batches, whole.input_seconds),
            compute_infer=_duration(batches, whole.infer_seconds),
            compute_output=_duration(batches, whole.output_seconds),
        ),
        batch_stats=[
            v2.InferBatchStatistics(
                batch_size=size,
                compute_input=_duration(figures.batches, figures.input_seconds),
                compute_infer=_duration(figures.batches, figures.infer_seconds),
                compute_output=_duration(figures.batches, figures.output_seconds),
            )
            for size, figures in counted.sizes.items()
        ],
    )


def _duration(count: int, seconds: float) -> v2.StatisticDuration:
    return v2.StatisticDuration(count=count, ns=max(int(seconds * 1e9), 0))
