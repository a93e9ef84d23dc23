"""OpenVINO's CPU plug-in, held to fp32: left alone it would use bfloat16 where the processor has it."""

from __future__ import annotations

import numpy as np
import openvino

from benchmarks.engines.job import EngineJob, PreparedEngine
from fleetpose.errors import FleetposeError


def prepare(job: EngineJob) -> PreparedEngine:
    """A compiled model of the ONNX export, one stream, tuned for latency.

    Raises:
        FleetposeError: the plug-in chose another precision or number of threads than it was told.
    """
    core = openvino.Core()
    wanted = {
        "INFERENCE_PRECISION_HINT": openvino.Type.f32,
        "INFERENCE_NUM_THREADS": job.threads,
        "NUM_STREAMS": 1,
        "PERFORMANCE_HINT": openvino.properties.hint.PerformanceMode.LATENCY,
    }
    compiled = core.compile_model(core.read_model(job.onnx), "CPU", wanted)
    for name in ("INFERENCE_PRECISION_HINT", "INFERENCE_NUM_THREADS"):
        if compiled.get_property(name) != wanted[name]:
            raise FleetposeError(f"OpenVINO set {name} to {compiled.get_property(name)}, not {wanted[name]}")
    request = compiled.create_infer_request()

    def run() -> list[np.ndarray]:
        request.infer([job.tensor], share_inputs=True)
        return [request.get_output_tensor(number).data.copy() for number in range(len(compiled.outputs))]

    return PreparedEngine.of_callable(run)
