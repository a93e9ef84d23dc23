"""Which layers are launched together: those alike that wait for no other, and on GPUs alone."""

import pytest
import torch
import tvm
from tvm import relax

from codegen.artifact.manifest import launched_together
from codegen.layer import ConvOptions, make_conv
from codegen.layout.assign import assign_layout
from codegen.lowering.launches.chained_functions import ChannelGroups
from codegen.lowering.launches.merged_function import merge_functions
from codegen.lowering.launches.shared_launches import share_launches, wait_for
from codegen.lowering.layer import random_operands, standalone_planes
from codegen.lowering.network import Options, lower_network
from codegen.lowering.scheduling import LayerScheduler
from codegen.lowering.sharing import SharedCode
from codegen.lowering.sizes import trace_model
from codegen.lowering.target import make_target
from codegen.schedules import candidates, schedule
from devices.profile import load_profile
from fleetpose.progress import no_report
from models.frontend.trace import trace
from tests.tvm.test_network import HOST, PHONE, Chain, Joins

ADRENO = load_profile("adreno-730")


class TwoHeads(torch.nn.Module):
    """Two branches of one shape behind a stem; their last layers have different numbers of filters."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = torch.nn.Conv2d(3, 16, 3, 2, 1)
        self.branches = torch.nn.ModuleList(
            torch.nn.Sequential(
                torch.nn.Conv2d(16, 16, 3, padding=1), torch.nn.ReLU(), torch.nn.Conv2d(16, 24, 1), torch.nn.ReLU(),
                torch.nn.Conv2d(24, filters, 1),
            )
            for filters in (8, 16)
        )  # fmt: skip

    def forward(self, x):
        x = torch.relu(self.stem(x))
        return [branch(x) for branch in self.branches]


def lowered(module: torch.nn.Module, profile, share: bool = True):
    options = Options(share_launches=share)
    return lower_network([trace(module.eval(), (3, 20, 34), "branches")], profile, options)


def test_branches_are_launched_layer_by_layer():
    entry = lowered(TwoHeads(), PHONE).entries[0]
    together = [[code.layer for code in codes] for codes in launched_together(entry.layers)]
    assert together == [
        ["input"], ["stem"], ["branches.0.0", "branches.1.0"], ["branches.0.2", "branches.1.2"],
        ["branches.0.4", "branches.1.4"], ["output 0", "output 1"],
    ]  # fmt: skip
    assert entry.launches == 6


@pytest.mark.parametrize(("profile", "share"), [(HOST, True), (PHONE, False)], ids=["CPU", "asked for"])
def test_layer_after_layer_is_launched(profile, share):
    codes = lowered(TwoHeads(), profile, share).entries[0].layers
    assert not any(code.with_previous for code in codes)


def test_module_has_no_function_that_nobody_calls():
    module = lowered(TwoHeads(), PHONE).module
    kernels = [name for name, function in module.functions.items() if isinstance(function, tvm.tirx.PrimFunc)]
    assert len(kernels) == 6


@pytest.mark.parametrize("module", [TwoHeads, Joins, Chain], ids=lambda module: module.__name__)
def test_a_launch_follows_those_that_write_what_it_reads(module):
    graph = trace(module().eval(), (3, 20, 34), "branches")
    layout = assign_layout(graph, PHONE.lanes)
    shared = SharedCode(relax.BlockBuilder(), make_target(PHONE))
    items = LayerScheduler(PHONE, Options(), shared, no_report).schedule(graph, layout)
    launches = share_launches(items, graph, layout)
    at = {id(item): number for number, launch in enumerate(launches) for item in launch}
    assert sorted(at) == sorted(map(id, items))
    for item, others in zip(items, wait_for(items, graph, layout), strict=True):
        assert all(at[id(items[other])] < at[id(item)] for other in others)


def test_functions_of_unlike_grids_are_not_merged():
    layer = make_conv((16, 16), (20, 40), ConvOptions())
    workload, (_, weights) = standalone_planes(layer, PHONE.lanes), random_operands(layer, 0)
    choices = {choice.schedule: choice for choice in candidates(workload, PHONE)}
    functions = [schedule(workload, weights, PHONE, choices[name]).func for name in ("winograd", "direct")]
    with pytest.raises(ValueError, match="shorter"):
        merge_functions(functions, 1, [0, 1])


#: kernels launched for an inference on an Adreno 730: layer by layer, and with shared launches
COUNTS = {
    ("lwop", "float16"): (78, 70),
    ("resnet50_3", "float16"): (242, 165),
    ("resnet50_3", "float32"): (124, 101),
    ("efficientnet", "float16"): (163, 86),
}


@pytest.mark.slow
@pytest.mark.parametrize(("model", "dtype"), COUNTS, ids=str)
def test_launches_of_a_network(model, dtype):
    graph = trace_model(model)
    counts = (
        lower_network([graph], ADRENO, Options(dtype=dtype, share_launches=share)).entries[0].launches
        for share in (False, True)
    )
    assert (*counts,) == COUNTS[model, dtype]


@pytest.mark.parametrize(
    ("channels", "tasks", "groups"),
    [
        (128, 36, ChannelGroups(128, 3, 108)),
        (88, 69, ChannelGroups(88, 1, 69)),
        (88, 200, ChannelGroups(88, 1, 200)),
        (88, 300, None),
        (12, 64, None),
    ],
)
def test_groups_hold_whole_channels_and_are_many(channels, tasks, groups):
    assert ChannelGroups.of(channels, tasks, ADRENO) == groups
