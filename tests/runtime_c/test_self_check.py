"""The self-check: kernels that a device computes wrongly, refuses, or never ends are replaced, or named."""

from __future__ import annotations

import pytest

from tests.runtime_c.running import WRONG_RESULT, Runner, expected_values
from tests.runtime_c.tiny_package import BINARY, UNARY, TinyPackage, checking_input, doubling_package

NO_SELF_CHECK = 2
WRONG_BODY = f"{UNARY} {{ y[INDEX] = 2.01f * x[INDEX]; }}"
REFUSED_BODY = f"{UNARY} {{ y[INDEX] = no_such_function(x[INDEX]); }}"


@pytest.fixture(scope="module")
def runner(tmp_path_factory) -> Runner:
    return Runner(tmp_path_factory.mktemp("check"))


def without_spares(package: TinyPackage) -> TinyPackage:
    for step in package.records["steps"]:
        step.update(first_spare=0, spare_count=0)
    return package


def with_short_patience(package: TinyPackage) -> TinyPackage:
    """A kernel counts as hung after half a second instead of 20."""
    package.add("settings", name=package.string("self_check.hung_secs"), number=0.5)
    return package


def test_wrong_expected_value_names_the_layer(runner):
    """The value of a check is wrong, so both kernels of the layer are."""
    package = doubling_package()
    package.records["checks"][4]["value"] += 0.5
    answer = runner.run(package)
    assert answer["status"] == WRONG_RESULT
    assert answer["error"].startswith("layer biased (direct) is wrong on ")
    right = 2 * checking_input(32)[31] + 31
    difference = f"element 31 is {right:.7g} where {right + 0.5:.7g} is right"
    assert answer["error"].endswith(f"{difference}, and so is its second kernel")
    assert runner.run(package, flags=NO_SELF_CHECK)["values"] == [expected_values()]
    alone = runner.run(without_spares(package))
    assert alone["error"].endswith(f"{difference}, and the package has no second kernel for it")


def test_element_that_is_not_written_is_wrong(runner):
    body = f"{UNARY} {{ if (INDEX != 7) y[INDEX] = 2.0f * x[INDEX]; }}"
    answer = runner.run(without_spares(doubling_package(bodies={"twice": body})))
    assert answer["status"] == WRONG_RESULT
    assert "layer doubled" in answer["error"]
    assert "element 7 is" in answer["error"]
    assert "nan where" in answer["error"]


@pytest.mark.parametrize("body", [WRONG_BODY, REFUSED_BODY])
def test_kernel_is_replaced(runner, body):
    answer = runner.run(doubling_package(bodies={"twice": body}), runs=2)
    assert answer["replaced"] == ["doubled"]
    assert answer["values"] == [expected_values()]


def test_refused_kernel_is_replaced_without_a_check(runner):
    answer = runner.run(doubling_package(bodies={"twice": REFUSED_BODY}), flags=NO_SELF_CHECK)
    assert (answer["replaced"], answer["values"]) == (["doubled"], [expected_values()])


def test_refused_kernel_without_a_spare_is_told(runner):
    answer = runner.run(without_spares(doubling_package(bodies={"twice": REFUSED_BODY})))
    assert answer["status"] == WRONG_RESULT
    assert "CL_BUILD_PROGRAM_FAILURE (-11) from clBuildProgram while compiling kernel twice" in answer["error"]


def test_layer_without_checks_is_not_judged(runner):
    """The output is wrong then; nothing says so."""
    package = doubling_package(bodies={"add": f"{BINARY} {{ y[INDEX] = x[INDEX] + b[INDEX] + 1; }}"})
    package.records["steps"][1].update(check_count=0)
    answer = runner.run(package)
    assert "replaced" not in answer
    assert answer["values"] == [[value + 1 for value in expected_values()]]


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["corrupt", "refuse", "fail", "stall"])
def test_faults_of_a_driver_are_mended(runner, fault, tmp_path):
    """Each kernel in turn, and both; the second start remembers, and checks nothing."""
    for kernels, layers in (
        (["twice"], ["doubled"]),
        (["add"], ["biased"]),
        (["twice", "add"], ["doubled", "biased"]),
    ):
        faults = " ".join(f"{fault}:{kernel}" for kernel in kernels)
        cache = tmp_path / "-".join(kernels)
        first, second = (
            runner.run(with_short_patience(doubling_package()), faults=faults, runs=2, cache=cache) for _ in range(2)
        )
        for answer in (first, second):
            assert (answer["replaced"], answer["values"]) == (layers, [expected_values()]), faults
        assert second["launches"] == 2 * 2
        assert first["launches"] > second["launches"] + 2


def test_kernel_that_ends_the_process_is_replaced_at_the_third_start(runner, tmp_path):
    """One death may be a user's; what blames a step is gone once all are right."""
    starts = [runner.run(doubling_package(), faults="die:add", cache=tmp_path) for _ in range(4)]
    assert [answer.get("ended", False) for answer in starts] == [True, True, False, False]
    for answer in starts[2:]:
        assert (answer["replaced"], answer["values"]) == (["biased"], [expected_values()])
    assert len(list(tmp_path.iterdir())) == 1


def test_each_of_two_kernels_that_end_the_process_is_replaced(runner, tmp_path):
    """The first one stays replaced while the second one ends two starts more."""
    starts = [runner.run(doubling_package(), faults="die:twice die:add", cache=tmp_path) for _ in range(6)]
    assert [answer.get("ended", False) for answer in starts] == [True] * 4 + [False] * 2
    for answer in starts[4:]:
        assert (answer["replaced"], answer["values"]) == (["doubled", "biased"], [expected_values()])


def test_start_that_was_ended_once_is_forgotten(runner, tmp_path):
    assert runner.run(doubling_package(), faults="die:add", cache=tmp_path) == {"ended": True}
    (note,) = tmp_path.iterdir()
    contents = note.read_bytes()
    for damaged in (contents, contents[:-1], b"\xff" * len(contents), b""):
        note.write_bytes(damaged)
        assert "replaced" not in runner.run(doubling_package(), cache=tmp_path)
        assert not note.exists() or damaged != contents
        for path in tmp_path.iterdir():
            path.unlink()


@pytest.mark.parametrize("fault", ["corrupt", "stall"])
def test_both_kernels_faulty_is_an_error(runner, fault):
    package = with_short_patience(doubling_package())
    answer = runner.run(package, faults=f"{fault}:add {fault}:bias")
    assert answer["status"] == WRONG_RESULT
    assert "layer biased (direct) is wrong on" in answer["error"]
    assert ("had not finished after 0.5 s" if fault == "stall" else "is right") in answer["error"]


def test_each_size_is_checked_when_it_is_first_used(runner):
    """The first size is right; the second is never used, so what is wrong with it is not seen."""
    package = doubling_package(sizes=((4, 8), (8, 8)))
    package.records["checks"][-1]["value"] += 1
    assert runner.run(package)["values"] == [expected_values()]
    package.records["entries"].reverse()
    assert "layer biased" in runner.run(package)["error"]
