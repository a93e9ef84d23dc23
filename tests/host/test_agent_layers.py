"""Single layers as packages, behind the agent: kernels that hand scratch memory on, images, sparse weights."""

import pytest

from codegen.judging.layers import RightResult
from codegen.lowering.layer import ENTRY, LoadedLayer, compile_layer, random_operands, standalone_planes
from codegen.schedules import candidates
from devices import open_device
from devices.profile import load_profile
from devices.timing.measure import measure
from fleetpose.errors import UsageError
from models.plans.sparsity import Sparsity
from runtime.package_format import SOURCES, read_sections, write_package
from tests.agent_serving import ServingAgent
from tests.host.kernel_cases import window
from tests.serving import WAIT_SECS

LAYER = window("conv", (16, 24), (18, 22), (3, 3))


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    with ServingAgent(tmp_path_factory.mktemp("agent") / "work") as agent, pytest.MonkeyPatch.context() as patch:
        agent.use_tracker(patch)
        with open_device("rpc:bench", timeout_secs=WAIT_SECS) as opened:
            yield opened


def choice_of(schedule, workload, profile):
    return next(choice for choice in candidates(workload, profile) if choice.schedule == schedule)


@pytest.mark.parametrize(
    ("schedule", "profile", "sparsity"),
    [
        ("direct", "host", None),
        ("winograd", "host", None),  # three launches, with transformed tiles between them
        ("image", "adreno-730", None),  # weights in a texture
        ("columns", "host", "columns:0.5:8x1"),
        ("winograd_sparse", "mali-g76", "connectivity:0.5:8x4"),
    ],
)
def test_layer_computes_what_float64_says(session, schedule, profile, sparsity):
    chosen = Sparsity.parse(sparsity) if sparsity else None
    device = load_profile(profile)
    workload = standalone_planes(LAYER, device.lanes, (1, 1), sparsity=chosen)
    inputs, weights = random_operands(LAYER, 0)
    weights = weights.pruned(chosen)
    choice = choice_of(schedule, workload, device)
    loaded = LoadedLayer(compile_layer(workload, weights, device, "agent", choice), session)
    result = workload.output.unpack(loaded.run(inputs))
    assert RightResult(LAYER, "float32", inputs, weights).fault(result, choice) is None
    timing = measure(session, **loaded.call_arguments(inputs), repeats=3)
    assert timing.ok
    assert timing.timer == "opencl events and wall"
    assert all(0 < event <= wall for event, wall in zip(timing.event_secs, timing.wall_secs, strict=True))


def test_candidates_are_timed_on_memory_of_their_own(session):
    """Two loadings of one layer hold what they were given, however they are called in turn."""
    workload = standalone_planes(LAYER, session.profile.lanes)
    inputs, weights = random_operands(LAYER, 1)
    compiled = compile_layer(workload, weights, session.profile, "agent")
    first, second = LoadedLayer(compiled, session), LoadedLayer(compiled, session)
    arguments = first.arguments(inputs)
    negative = second.arguments([-array for array in inputs])
    for _ in range(2):
        first.module[ENTRY](*arguments)
        second.module[ENTRY](*negative)
    right = [RightResult(LAYER, "float32", given, weights) for given in (inputs, [-array for array in inputs])]
    for called, result in zip((arguments, negative), right, strict=True):
        assert result.fault(workload.output.unpack(called[-1].numpy()), compiled.kernel.choice) is None


def test_shared_objects_are_refused_before_they_are_sent(session, tmp_path):
    workload = standalone_planes(LAYER, session.profile.lanes)
    compiled = compile_layer(workload, random_operands(LAYER, 0)[1], session.profile)
    compiled.export(tmp_path / "layer.so")
    with pytest.raises(UsageError, match=r"is not a package \(\.fpk\), which is all that device 'rpc:bench' loads"):
        session.load(tmp_path / "layer.so")
    with pytest.raises(UsageError, match="cannot read"):
        session.load(tmp_path / "nothing.fpk")


def test_kernel_that_the_driver_does_not_compile_is_an_error_with_its_words(session, tmp_path):
    workload = standalone_planes(LAYER, session.profile.lanes)
    compiled = compile_layer(workload, random_operands(LAYER, 0)[1], session.profile, "agent")
    sections = read_sections(compiled.module)
    sections[SOURCES] = sections[SOURCES].replace(b"get_group_id", b"get_gruop_id")
    (tmp_path / "broken.fpk").write_bytes(write_package(sections))
    module = session.load(tmp_path / "broken.fpk")
    loaded = LoadedLayer(compiled, session)
    with pytest.raises(Exception, match=r"compiling kernel \w+: .*get_gruop_id"):
        module[ENTRY](*loaded.arguments(random_operands(LAYER, 0)[0]))
    assert session.alive()
