"""ONNX Runtime's CPU provider, all graph optimisations on."""

from __future__ import annotations

import onnxruntime

from benchmarks.engines.job import EngineJob, PreparedEngine


def prepare(job: EngineJob) -> PreparedEngine:
    """A session on the ONNX export."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = job.threads
    options.inter_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    # its threads still spin while a run lasts, but do not take the next engine's time
    options.add_session_config_entry("session.force_spinning_stop", "1")
    session = onnxruntime.InferenceSession(job.onnx, options, providers=["CPUExecutionProvider"])
    feed = {session.get_inputs()[0].name: job.tensor}
    return PreparedEngine.of_callable(lambda: session.run(None, feed))
