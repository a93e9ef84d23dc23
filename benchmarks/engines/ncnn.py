"""ncnn on the CPU, its model converted from TorchScript by pnnx; fp16 and bf16 off, all else at its defaults."""

from __future__ import annotations

import subprocess
import tempfile
import warnings
from pathlib import Path

import ncnn
import numpy as np
import pnnx
import torch

from benchmarks.engines.job import EngineJob, PreparedEngine
from fleetpose.errors import FleetposeError

_HALF_PRECISION = tuple(f"use_{kind}" for kind in ("fp16_packed", "fp16_storage", "fp16_arithmetic", "bf16_storage"))


def prepare(job: EngineJob) -> PreparedEngine:
    """A net of pnnx's making (weights stored as fp32), one extractor per inference as ncnn wants it.

    Raises:
        FleetposeError: pnnx failed, or ncnn refuses what it wrote.
    """
    net = ncnn.Net()
    net.opt.num_threads = job.threads
    for name in _HALF_PRECISION:
        if not hasattr(net.opt, name):
            raise FleetposeError(f"this ncnn has no option {name} to turn off")
        setattr(net.opt, name, False)
    with tempfile.TemporaryDirectory(prefix="fleetpose-ncnn-") as folder:
        param, weights = _convert(job, Path(folder))
        if net.load_param(str(param)) or net.load_model(str(weights)):
            raise FleetposeError("ncnn refuses the model that pnnx wrote")
    (source,), results, image = net.input_names(), net.output_names(), job.tensor[0]

    def run() -> list[np.ndarray]:
        with net.create_extractor() as extractor:
            extractor.input(source, ncnn.Mat(image))
            return [np.array(extractor.extract(name)[1])[None] for name in results]

    return PreparedEngine.of_callable(run)


def _convert(job: EngineJob, folder: Path) -> tuple[Path, Path]:
    """ncnn's .param and .bin of the network. pnnx writes them, and more, beside the trace."""
    path = folder / "network.pt"
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of TorchScript, which is what pnnx reads
        torch.jit.trace(job.network, torch.from_numpy(job.tensor)).save(str(path))
    shape = ",".join(map(str, job.tensor.shape))
    command = [pnnx.EXEC_PATH, path.name, f"inputshape=[{shape}]", "fp16=0"]
    done = subprocess.run(command, cwd=folder, capture_output=True, encoding="utf-8", errors="replace", check=False)
    made = (folder / "network.ncnn.param", folder / "network.ncnn.bin")
    if done.returncode or not all(one.exists() for one in made):
        raise FleetposeError(f"pnnx failed ({done.returncode}): {(done.stderr or done.stdout).strip()[-500:]}")
    return made
