"""PyTorch on the CPU, whose convolutions are oneDNN's: whole networks, eager, and single convolutions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from benchmarks.engines.job import EngineJob, PreparedEngine
from codegen.kernels.workload import Weights
from models.graph.layer import Layer


def prepare(job: EngineJob) -> PreparedEngine:
    """The module as it is. Sets the process's number of PyTorch threads."""
    torch.set_num_threads(job.threads)
    tensor = torch.from_numpy(job.tensor)

    def run() -> list[np.ndarray]:
        with torch.inference_mode():
            outputs = job.network(tensor)
        return [one.numpy() for one in ([outputs] if isinstance(outputs, torch.Tensor) else outputs)]

    return PreparedEngine.of_callable(run)


def onednn_conv(
    layer: Layer, inputs: Sequence[np.ndarray], weights: Weights, prepacked: bool
) -> Callable[[], torch.Tensor]:
    """A "conv" layer's convolution and bias, without its epilogue, on as many threads as PyTorch is set to.

    Args:
        inputs: as Layer.inputs, each (C, H, W) float32; only the first is read.
        weights: of `layer.weight_shape`.
        prepacked: input and weights are in oneDNN's own blocked layouts before, and the result stays in one: what a
            network that keeps to oneDNN's layouts pays. Otherwise all is plain NCHW, and the call reorders.

    Returns:
        A function that runs it once; its result is (1, C, H, W), an mkldnn tensor where `prepacked`.
    """
    assert weights.weight is not None
    x, weight = torch.from_numpy(inputs[0])[None], torch.from_numpy(weights.weight)
    bias = None if weights.bias is None else torch.from_numpy(weights.bias)
    how = (layer.padding, layer.stride, layer.dilation, layer.groups)
    if prepacked:
        reorder: Any = torch._C._nn.mkldnn_reorder_conv2d_weight  # whose stub lacks the last argument
        packed = reorder(weight.to_mkldnn(), *how, list(x.shape))
        blocked = x.to_mkldnn()
        blocked_bias = None if bias is None else bias.to_mkldnn()
        run = lambda: torch.mkldnn_convolution(blocked, packed, blocked_bias, *how)  # noqa: E731
    else:
        run = lambda: F.conv2d(x, weight, bias, layer.stride, layer.padding, layer.dilation, layer.groups)  # noqa: E731

    def without_gradients() -> torch.Tensor:
        with torch.no_grad():
            return run()

    return without_gradients
