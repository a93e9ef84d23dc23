"""Candidates are timed in the order of what GPU compilers make of them, and the default always."""

import pytest

from codegen.inspection.chips import CHIPS
from codegen.inspection.compilers import Compilers, load_compilers
from codegen.inspection.gathering import launches_of_layer
from codegen.inspection.inspection import inspect
from codegen.tuning.prefilter import prefilter
from codegen.tuning.tasks import tasks_of
from devices.profile import load_profile
from fleetpose.errors import UsageError
from tests.tvm.test_network import small_graph

PROFILE = load_profile("adreno-730")


def test_tasks_of_few_candidates_start_no_compiler(tmp_path):
    tasks = tasks_of([small_graph(20, 34)], PROFILE)
    most = max(len(task.choices) for task in tasks)
    assert prefilter(tasks, most, PROFILE, Compilers(tmp_path), CHIPS["adreno-730"]) == tasks


@pytest.mark.slow
def test_candidates_of_fewest_cycles_are_kept_and_the_default_is(monkeypatch, tmp_path):
    try:
        compilers = load_compilers()
    except UsageError as error:
        pytest.skip(f"{error}")
    monkeypatch.setenv("FLEETPOSE_CACHE_DIR", str(tmp_path))
    chip, every = CHIPS["adreno-730"], tasks_of([small_graph(20, 34)], PROFILE)[:2]
    kept = prefilter(every, 2, PROFILE, compilers, chip)
    for task, whole in zip(kept, every, strict=True):
        assert task.choices[0] == whole.choices[0]
        assert len(task.choices) == 3
        launches = [launches_of_layer(whole.workload, PROFILE, choice) for choice in whole.choices]
        cycles = dict(zip(whole.choices, inspect(launches, PROFILE, compilers, chip, "float32").layers, strict=True))
        others = sorted(cycles[choice].cycles for choice in whole.choices[1:])
        assert [cycles[choice].cycles for choice in task.choices[1:]] == others[:2]
