"""Where zeros begin to pay: one layer, dense and with more and more zeros, timed in turn on this machine's OpenCL.

python examples/layer_break_even.py [CHANNELS [SIDE [ROUNDS]]]
"""

import sys

from codegen.lowering.layer import LoadedLayer, compile_layer, random_operands, standalone_planes
from codegen.tuning.database import load_tuned
from devices import open_device
from devices.timers import TimedCall
from devices.timing.interleaved import measure_interleaved
from models.graph.layer import Layer, Step
from models.plans.sparsity import Sparsity

numbers = [int(text) for text in sys.argv[1:]]
channels, side, rounds = (*numbers, *(128, 46, 15)[len(numbers) :])
shape = (channels, side, side)
layer = Layer(
    "conv", "conv", ("x",), (shape,), shape, kernel=(3, 3), padding=(1, 1), bias=True, epilogue=(Step("relu"),)
)
variants = {"dense": None, **{f"{zeros:.0%}": Sparsity("columns", zeros, (8, 1)) for zeros in (0.25, 0.5, 0.75, 0.875)}}

with open_device("host") as device:
    inputs, weights = random_operands(layer, seed=0)
    tuned, kernels, calls = load_tuned(device.profile), {}, {}
    for name, sparsity in variants.items():
        workload = standalone_planes(layer, device.profile.lanes_of("float32"), sparsity=sparsity)
        compiled = compile_layer(
            workload,
            weights.pruned(sparsity) if sparsity else weights,
            device.profile,
            choice=tuned.choice(workload, device.profile),
        )
        kernels[name] = compiled.kernel.schedule
        calls[name] = TimedCall(**LoadedLayer(compiled, device).call_arguments(inputs))
    found = measure_interleaved(device, calls, rounds)

print(f"3x3 convolution, {channels} to {channels} channels, {side}x{side}; on {device.info.name}")
for name, kernel in kernels.items():
    timing = found.measurements[name]
    ratio = found.ratios.get(name)
    faster = f"{ratio.median:.2f} times as fast as dense ({ratio.low:.2f} to {ratio.high:.2f})" if ratio else ""
    print(f"{name:>6}  {kernel:10} {1e3 * (timing.wall_median_secs or 0):7.3f} ms  {faster}")
pays = [name for name, ratio in found.ratios.items() if ratio.low > 1]
print(f"zeros pay from {pays[0]} on" if pays else "zeros pay nowhere here")
