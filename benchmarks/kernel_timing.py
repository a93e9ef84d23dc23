"""One layer's kernels compiled, compared with float64 and timed in one interleaved run, for `benchmarks.kernels`.

All start from operands in memory and end with the result in memory: ours and stock TVM by the wall clock of the process
that serves the device, from the first launch to an empty queue; oneDNN by this process's.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from benchmarks.engines.pytorch import onednn_conv
from benchmarks.engines.stock_tvm import stock_conv
from benchmarks.kernel_contenders import Case
from benchmarks.kernel_rows import ONEDNN_PREPACKED, STOCK, Contender, LayerTimes, Timed
from codegen.kernels.workload import Weights
from codegen.lowering.layer import CompiledLayer, LoadedLayer, compile_layer, random_operands
from devices.rpc.connection import run_within
from devices.session import Session
from devices.timers import TimedCall
from devices.timing.interleaved import measure_interleaved
from devices.timing.measure import measure
from devices.timing.measurement import Measurement
from fleetpose.errors import DeviceUnreachable, FleetposeError, reason
from fleetpose.progress import Report
from models.graph.reference import run_single
from models.plans.sparsity import Sparsity

log = logging.getLogger("benchmarks.kernels")

#: of our kernels, largest difference from float64 over the largest result
MAX_RELATIVE_ERROR = 1e-4
RUN_SECS = 60.0
STOCK_ROUNDS = 3


class LayerBench:
    """The kernels of one layer on one device.

    Args:
        case: the layer.
        session: an open session; connected anew where a kernel hangs or crashes.
        host: the processor that serves the device, one of codegen.linking.hosts.LOADERS.
        seed: of inputs and weights.
    """

    def __init__(self, case: Case, session: Session, host: str = "native", seed: int = 0) -> None:
        self.case, self.session, self.host = case, session, host
        self.inputs, self.weights = random_operands(case.workload.layer, seed)
        self._compiled: dict[str, CompiledLayer] = {}
        self._loaded: dict[str, LoadedLayer] = {}
        self._masked: dict[Sparsity | None, tuple[Weights, np.ndarray]] = {}

    def run(self, contenders: Sequence[Contender], rounds: int, stock: bool, step: Report) -> LayerTimes:
        """Time `contenders` in one run and then, if wanted, stock TVM in turn with the fastest of our dense kernels.

        Args:
            rounds: samples of each; stock TVM gets STOCK_ROUNDS at most.
            step: told of every contender before it is prepared, and once before the timing.
        """
        times, calls = LayerTimes(self.case.facts), {}
        for one in contenders:
            step(one.name)
            error = self._prepare(one)
            times.timed[one.name] = Timed(one, error=error)
        step("timing")
        for one in contenders:
            if times.timed[one.name].error is not None:
                continue
            try:
                calls[one.name] = self._call(one)
            except Exception as error:  # as in _prepare
                times.timed[one.name] = Timed(one, error=reason(error))
        self._keep(times.timed, calls, rounds)
        if stock:
            self._time_stock(times, min(rounds, STOCK_ROUNDS))
        return times

    def _prepare(self, one: Contender) -> str | None:
        """Compile, load, run once, compare. Why it cannot be timed, None if it can."""
        if one.choice is None:
            return None
        try:
            run_within(lambda: self._check(one), RUN_SECS, "running it once")
        except (TimeoutError, DeviceUnreachable) as error:
            log.debug("%s", one.name, exc_info=True)
            self._reconnect()
            return reason(error)
        except Exception as error:  # whatever ails a kernel is its row's text
            log.debug("%s", one.name, exc_info=True)
            return reason(error)
        return None

    def _check(self, one: Contender) -> None:
        weights, expected = self._operands(one.sparsity)
        self._compiled[one.name] = self._compile(one, weights)
        flat = self._load(one).run(self.inputs)
        found = self.case.workload.output.unpack(flat)
        error = float(np.abs(found - expected).max() / (np.abs(expected).max() or 1.0))
        if not error <= MAX_RELATIVE_ERROR:
            raise FleetposeError(f"its result is wrong: relative error {error:.2g}")

    def _compile(self, one: Contender, weights: Weights) -> CompiledLayer:
        workload = replace(self.case.workload, sparsity=one.sparsity)
        return compile_layer(workload, weights, self.session.profile, self.host, one.choice)

    def _operands(self, sparsity: Sparsity | None) -> tuple[Weights, np.ndarray]:
        """Weights with the zeros of a sparsity, and the layer's result by them in float64."""
        if sparsity not in self._masked:
            weights = self.weights.pruned(sparsity)
            result = run_single(self.case.workload.layer, self.inputs, weights.weight, weights.bias)
            self._masked[sparsity] = weights, result
        return self._masked[sparsity]

    def _load(self, one: Contender) -> LoadedLayer:
        if one.name not in self._loaded:
            self._loaded[one.name] = LoadedLayer(self._compiled[one.name], self.session)
        return self._loaded[one.name]

    def _call(self, one: Contender) -> TimedCall:
        if one.choice is None:
            prepacked = one.name == ONEDNN_PREPACKED
            return TimedCall(onednn_conv(self.case.workload.layer, self.inputs, self.weights, prepacked))
        return TimedCall(**self._load(one).call_arguments(self.inputs))

    def _keep(self, timed: dict[str, Timed], calls: Mapping[str, TimedCall], rounds: int) -> None:
        """Time `calls` in turn and put what comes out in the place of those of their names."""
        if not calls:
            return
        if len(calls) == 1:
            ((name, call),) = calls.items()
            found = {name: measure(self.session, call.function, call.args, entry=call.entry, repeats=rounds)}
        else:
            found = dict(measure_interleaved(self.session, calls, rounds, clock="wall").measurements)
        for name, timing in found.items():
            timed[name] = _with_timing(timed[name].contender, timing)
        if not self.session.alive():
            self._reconnect()

    def _time_stock(self, times: LayerTimes, rounds: int) -> None:
        ours = next((one.contender for one in times.dense()), None)
        times.stock[STOCK] = Timed(Contender(STOCK))
        try:
            calls = {STOCK: stock_conv(self.case.workload.layer, self.session, self.inputs, self.weights).call}
            if ours is not None:
                times.stock[ours.name] = Timed(ours)
                calls[ours.name] = self._call(ours)
        except Exception as error:  # whatever ails it is the row's text
            log.debug("stock TVM", exc_info=True)
            times.stock[STOCK] = Timed(Contender(STOCK), error=reason(error))
            if not self.session.alive():
                self._reconnect()
            return
        self._keep(times.stock, calls, rounds)

    def _reconnect(self) -> None:
        """What was loaded is gone with the connection."""
        self.session.reconnect()
        self._loaded.clear()


def _with_timing(contender: Contender, timing: Measurement) -> Timed:
    return Timed(contender, timing.wall_secs, timing.error)
