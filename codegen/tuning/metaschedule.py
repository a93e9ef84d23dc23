"""What TVM's own tuner makes of a convolution: MetaSchedule with the gradient-boosted cost model, over our sessions.

It is there to compare with; its programs work on dense (N, C, H, W) tensors and are never part of an artifact. The
convolution and its bias are tuned, without the epilogue.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import tvm
from tvm import te, topi
from tvm.ir.utils import derived_object
from tvm.s_tir import meta_schedule as ms

from codegen.kernels.workload import Weights
from codegen.linking.hosts import AGENT
from codegen.linking.link import export_shared
from codegen.lowering.hosts import artifact_suffix
from codegen.lowering.packages import function_package
from codegen.lowering.target import make_target
from devices.session import Session
from devices.timers import TimedCall
from devices.timing.measure import measure
from fleetpose.disk.refusals import CannotWrite
from fleetpose.disk.temporaries import WorkFolder
from fleetpose.errors import FleetposeError, reason
from models.graph.layer import Layer

log = logging.getLogger("codegen.tuning.metaschedule")

ENTRY = "main"
#: programs built and measured before the cost model learns from them; TVM's own 100 suit runs of a thousand trials
WARMUP_TRIALS = 16
TRIALS_PER_STEP = 16
SAMPLES = 3
TIMEOUT_SECS = 20.0


class Search:
    """A search for the best program of one convolution.

    Args:
        session: where programs are measured; reconnected after one that broke it.
        layer: a dense "conv"; its epilogue is left out.
        weights, x: the layer's parameters, and an input (C, H, W).
        host: the processor that serves the device, one of codegen.linking.hosts.LOADERS.
        expired: whether no more programs are to be measured.

    Attributes:
        measured: programs built and timed, or failed, so far.
        failures: how many of them failed, by reason.
        refusal: why no more can be written, where that ended it.
    """

    def __init__(
        self,
        session: Session,
        layer: Layer,
        weights: Weights,
        x: np.ndarray,
        host: str = "native",
        expired: Callable[[], bool] = lambda: False,
        progress: Callable[[int], None] = lambda _: None,
    ) -> None:
        if not layer.convolves:
            raise ValueError(f"MetaSchedule is asked about convolutions, not {layer.op}, nor about transposed ones")
        self.session, self.layer, self.host = session, layer, host
        self.expired, self.progress = expired, progress
        self.target = make_target(session.profile, host)
        bias = weights.bias_or_zero(layer.out_shape[0])
        assert weights.weight is not None
        self.operands = [
            x[None],
            weights.weight,
            bias.reshape(1, -1, 1, 1),
            np.zeros((1, *layer.out_shape), np.float32),
        ]
        self.measured = 0
        self.failures: dict[str, int] = {}
        self.refusal: CannotWrite | None = None

    def best(self, trials: int, seed: int = 0) -> TimedCall | None:
        """The fastest of `trials` programs, loaded and ready to time; None where none ran."""
        function = convolution(self.layer).with_attr("global_symbol", ENTRY)
        module = tvm.IRModule({ENTRY: function})
        logging.getLogger("tvm.s_tir.meta_schedule").setLevel(logging.ERROR)
        with _no_intrinsics(), WorkFolder() as folder:
            database = self._tune(function, trials, seed, folder)
            schedule = ms.tir_integration.compile_tir(database, module, self.target)
            if schedule is None:
                return None
            path = folder / f"best{artifact_suffix(self.host)}"
            self.build(schedule.mod, path)
            return self.load(path)

    def _tune(self, function: tvm.tirx.PrimFunc, trials: int, seed: int, folder: Path) -> ms.database.Database:
        """The records of a search. Nothing of it but programs is written: TVM's own database and log files do not say
        that a disk is full, or say it in a traceback for every line. Raises CannotWrite where a program cannot be."""
        cores = os.cpu_count() or 1
        context = ms.TuneContext(
            mod=function,
            target=self.target,
            space_generator="post-order-apply",
            search_strategy=_strategy(trials),
            task_name=ENTRY,
            rand_state=ms.utils.fork_seed(seed + 1, n=1)[0],  # TVM's 0 is "whatever"
            num_threads=cores,
            logger=logging.getLogger("tvm.s_tir.meta_schedule.search"),
        )
        try:
            return ms.tune.tune_tasks(
                tasks=[context.clone()],
                task_weights=[1.0],
                work_dir=str(folder),
                max_trials_global=trials,
                num_trials_per_iter=min(TRIALS_PER_STEP, trials),
                builder=_Builder(self, folder),
                runner=_Runner(self),
                database="memory",
                cost_model=ms.cost_model.XGBModel(num_warmup_samples=WARMUP_TRIALS, num_tuning_cores=cores),
            )
        except Exception as error:
            if self.refusal is not None:  # TVM makes another error of it
                raise self.refusal from error
            raise

    def build(self, module: tvm.IRModule, path: Path) -> None:
        """Compile a scheduled program into what the device loads."""
        if self.host == AGENT:
            path.write_bytes(function_package(ENTRY, module[ENTRY], self.target))
        else:
            export_shared(tvm.tirx.build(module, target=self.target), path, self.host)

    def load(self, path: Path) -> TimedCall:
        """A built program on the device, with its operands."""
        module = self.session.load(path)
        return TimedCall(module, [tvm.runtime.tensor(array, self.session.device) for array in self.operands], ENTRY)

    def answer(self, call: TimedCall) -> np.ndarray:
        """What a loaded program makes of the operands, run once: (C, H, W)."""
        with self.session.guard("running MetaSchedule's best program"):
            call.function[ENTRY](*call.args)
            return call.args[-1].numpy()[0]

    def time(self, path: Path) -> tuple[list[float] | None, str | None]:
        """(wall seconds, None) of a built program, or (None, why there are none)."""
        if self.expired():
            return None, "out of time"
        self.measured += 1
        self.progress(self.measured)
        try:
            call = self.load(path)
            timing = measure(
                self.session,
                call.function,
                call.args,
                entry=ENTRY,
                warmup=1,
                repeats=SAMPLES,
                timeout_secs=TIMEOUT_SECS,
            )
            secs, error = (list(timing.wall_secs), None) if timing.ok else (None, timing.error)
        except CannotWrite as refusal:
            self.refusal = refusal
            raise
        except (RuntimeError, OSError, ValueError, FleetposeError) as failed:
            secs, error = None, reason(failed)
        if not self.session.alive():
            self.session.reconnect()
        return secs, self.count_failure(error)

    def count_failure(self, error: str | None) -> str | None:
        """Count a failure, if it is one, and answer it."""
        if error is not None:
            first = error.splitlines()[0]
            self.failures[first] = self.failures.get(first, 0) + 1
            log.info("%s", error)
        return error


@contextmanager
def _no_intrinsics() -> Iterator[None]:
    """Keep TVM's TuneContext from importing its intrinsics for other processors' tensor units.

    OpenCL has no use for them, and to parse all 250 takes a minute or two.
    """
    name = "tvm.s_tir.tensor_intrin"
    absent = name not in sys.modules
    if absent:
        sys.modules[name] = ModuleType(name)
    try:
        yield
    finally:
        if absent:
            del sys.modules[name]


def _strategy(trials: int) -> ms.search_strategy.SearchStrategy:
    """TVM's evolutionary search; its own population of 512 costs 40 s of CPU time a step, too much for few trials."""
    population = min(512, max(32, 8 * trials))
    return ms.search_strategy.EvolutionarySearch(
        population_size=population, init_min_unmeasured=min(50, population // 2)
    )


def convolution(layer: Layer) -> tvm.tirx.PrimFunc:
    """The unscheduled function (x, weight, bias, out) of a convolution and bias, from TVM's operator library."""
    x = te.placeholder((1, *layer.in_shapes[0]), name="x")
    weight = te.placeholder(layer.weight_shape, name="weight")
    bias = te.placeholder((1, layer.out_shape[0], 1, 1), name="bias")
    padding = (*layer.padding, *layer.padding)
    product = topi.nn.conv(x, weight, layer.stride, padding, layer.dilation, layer.groups, "NCHW", "OIHW", "float32")
    return te.create_prim_func([x, weight, bias, topi.add(product, bias)])


@derived_object
class _Builder(ms.builder.PyBuilder):
    """Builds in this process, with our linker."""

    def __init__(self, search: Search, folder: Path) -> None:
        super().__init__()
        self.search, self.folder, self.count = search, folder, 0

    def build(self, build_inputs: Any) -> list[Any]:
        return [self._one(build_input.mod) for build_input in build_inputs]

    def _one(self, module: Any) -> Any:
        if self.search.expired():
            return ms.builder.BuilderResult(None, "out of time")
        self.count += 1
        path = self.folder / str(self.count) / "program.so"  # TVM removes the folder after measuring
        path.parent.mkdir()
        try:
            self.search.build(module, path)
        except CannotWrite as refusal:
            self.search.refusal = refusal
            raise
        except Exception as error:  # TVM's builder reports, and goes on
            self.search.measured += 1
            return ms.builder.BuilderResult(None, self.search.count_failure(f"not built: {reason(error)}"))
        return ms.builder.BuilderResult(str(path), None)


@derived_object
class _Done(ms.runner.PyRunnerFuture):
    """A result that is there already."""

    def __init__(self, secs: Any, error: Any) -> None:
        super().__init__()
        self.secs, self.error = secs, error

    def done(self) -> bool:
        return True

    def result(self) -> Any:
        return ms.runner.RunnerResult(self.secs, self.error)


@derived_object
class _Runner(ms.runner.PyRunner):
    """Times over our session, whose waits have an end."""

    def __init__(self, search: Search) -> None:
        super().__init__()
        self.search = search

    def run(self, runner_inputs: Any) -> list[Any]:
        return [_Done(*self.search.time(Path(str(program.artifact_path)))) for program in runner_inputs]
