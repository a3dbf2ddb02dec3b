"""The Open Inference Protocol, as the clients of Triton and KServe speak it, over the same networks."""
