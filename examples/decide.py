"""From measurements to a decision: time layers here, fit a predictor, predict a network, decide where zeros pay.

    python examples/decide.py [FOLDER [SECONDS]]

The commands latency.collect, fit, predict and decide call the same functions; files are kept in FOLDER, and a second
run measures only what the first had no time for.
"""

import sys
from pathlib import Path

from codegen.lowering.sizes import trace_model
from codegen.tuning.database import load_tuned
from devices import open_device
from latency.cost_model.fitting import FitOptions
from latency.dataset.read import Dataset
from latency.network_model.calibrated_fit import fit_dataset
from latency.network_model.forecast import Forecaster
from latency.planning.losses import losses_of
from latency.planning.planner import decide
from latency.profiling.around import sample_around
from latency.profiling.collector import Collector, collect
from latency.profiling.interleaved_run import RunSettings
from latency.profiling.prepare import Recipe
from latency.profiling.reference_kernel import Patience
from latency.profiling.space import network_groups
from latency.records.journal import Journal
from models.plans.explain import explain
from models.plans.sparsity import Sparsity
from models.resolve import model_spec

folder = Path(sys.argv[1] if len(sys.argv) > 1 else "build/example/decide")
seconds = float(sys.argv[2] if len(sys.argv) > 2 else 60)
folder.mkdir(parents=True, exist_ok=True)
name, records = "own_network:net", folder / "timings.jsonl"  # of own_network.py beside this file
zeros = tuple(map(Sparsity.parse, ("columns:0.5:8x1", "columns:0.75:8x1", "columns:0.875:8x1")))
graph = trace_model(name, (96, 96))

# Layers of the network, and 20 of shapes around them: a predictor is to know more than it has seen.
with open_device("host") as device, Journal(records) as journal:
    profile, choose = device.profile, load_tuned(device.profile).choice
    groups = network_groups([graph], profile, zeros)
    groups += sample_around(groups, 20, profile)
    settings = RunSettings(rounds=5, patience=Patience(wait_secs=2))
    collection = collect(Collector(journal, Recipe(profile, choose), settings, budget_secs=seconds), device, groups)
    print(f"{records}: {collection.measured} records added, {collection.left} left")

predictor = fit_dataset(Dataset.read([records]), FitOptions(wide=False)).fitted.predictor
predictor.save(folder / "host.predictor", force=True)
forecaster = Forecaster(predictor, profile, choose)
print(f"{name} dense: {forecaster.total(forecaster.steps(graph)).ms:.3f} ms predicted")
# The least time, whatever it takes in weights; a Goal of speedup, target_ms or max_loss asks for less.
plan = decide(graph, forecaster, losses_of(graph, model_spec(name).blocks, None), sparsities=zeros)
plan.save(folder / "plan.json", force=True)
print(explain(plan, graph.layers))
sparse = ", ".join(plan.sparsities) or "none"
print(f"\n{len(plan.sparsities)} of {len(plan.choices)} convolutions become sparse: {sparse}")
