"""From measurements to a decision: time layers here, fit a predictor, predict a network, decide where zeros pay.

    python examples/decide.py [FOLDER [SECONDS]]

These are the commands latency.collect, fit, predict and decide with the flags they take; files are kept in FOLDER, and
a second run measures only what the first had no time for.
"""

import sys
from pathlib import Path

from fleetpose import cli
from latency import collect, decide, fit, predict
from models.plans.plan import Plan

folder = Path(sys.argv[1] if len(sys.argv) > 1 else "build/example/decide")
seconds = float(sys.argv[2] if len(sys.argv) > 2 else 60)
folder.mkdir(parents=True, exist_ok=True)
records, predictor, chosen = folder / "timings.jsonl", folder / "host.predictor", folder / "plan.json"
network = ("--model", "own_network:net", "--size", "96x96")  # of own_network.py beside this file
zeros = ("--sparsity", "columns:0.5:8x1", "columns:0.75:8x1", "columns:0.875:8x1")


def run(command, *flags) -> None:
    """One command, in this process; its exit status ends the script where it is not 0."""
    print(f"\n$ python -m {command.__name__} {' '.join(map(str, flags))}", flush=True)
    if status := cli.run(command.main, command.make_parser(), [str(flag) for flag in flags]):
        sys.exit(status)


# Layers of the network, and 20 of shapes around them: a predictor is to know more than it has seen.
pace = ("--rounds", 5, "--wait-secs", 2, "--budget-secs", seconds)
run(collect, *network, *zeros, "--around", 20, *pace, "--device", "host", "-o", records)
run(fit, "--data", records, "--no-search", "-o", predictor, "--force")
run(predict, *network, "--predictor", predictor)
# The least time, whatever it takes in weights; --speedup, --target-ms and --max-loss ask for less.
run(decide, *network, *zeros, "--predictor", predictor, "-o", chosen, "--force")

plan = Plan.load(chosen)
sparse = ", ".join(plan.sparsities) or "none"
print(f"\n{len(plan.sparsities)} of {len(plan.choices)} convolutions become sparse: {sparse}")
