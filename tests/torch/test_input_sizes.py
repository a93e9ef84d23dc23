"""The input sizes that networks take, found by running them without numbers."""

import numpy as np
import pytest

from codegen.lowering.sizes import check_sizes, default_sizes
from fleetpose.errors import UsageError
from models.accuracy.protocol import fit_free, maps_of
from models.preprocess import Preprocessing
from models.zoo.input_sizes import sides_taken, with_sides
from models.zoo.spec import ModelSpec
from tests import sweep
from tests.zoo.catalogue import ZOO, create_zoo

PLAIN = Preprocessing((128.0, 128.0, 128.0), 1 / 128)


def spec_of(name: str, **fields) -> ModelSpec:
    network = create_zoo(name)
    spec = ModelSpec(name, lambda: network, PLAIN, ZOO[name].size, ("maps",), stride=4, **fields)
    return with_sides(spec, network)


@sweep.part(3)
@pytest.mark.parametrize(
    ("name", "taken"),
    [
        ("SimpleBaseline", (4, False)),
        ("HRNet", (16, False)),
        ("YOLOv8-pose decoded", (16, False)),
        ("BlazePose", (8, False)),
        ("ViTPose simple", (4, True)),
    ],
)
def test_sides_taken_are_those_at_which_a_network_runs(name, taken):
    assert sides_taken(create_zoo(name), ZOO[name].size, 3, 4) == taken


def test_what_is_said_of_sides_stays(caplog):
    assert spec_of("HRNet", multiple=32).side_step == 32
    assert spec_of("HRNet", fixed_size=True).multiple == 1


@pytest.mark.parametrize("name", ["HRNet", "ViTPose simple"])
def test_photographs_of_any_shape_become_inputs_that_a_network_takes(name):
    spec = spec_of(name)
    run = maps_of(spec.build(), spec)
    for shape in ((50, 47, 3), (61, 100, 3)):
        tensor, _ = fit_free(np.zeros(shape, np.uint8), spec)
        assert tensor.shape[2:] == spec.size or not spec.fixed_size
        assert np.isfinite(run(tensor)[0]).all()


def test_sizes_that_are_served_are_those_that_a_network_takes():
    spec = spec_of("HRNet")
    assert default_sizes(spec) == [(64, 48), (64, 64), (64, 80), (64, 96), (64, 112)]
    check_sizes(spec, default_sizes(spec))
    with pytest.raises(UsageError, match="input size 64x40: HRNet wants multiples of 16, such as 64x48"):
        check_sizes(spec, [(64, 40)])
    with pytest.raises(UsageError, match="ViTPose simple takes 64x48 only; another size needs a network"):
        check_sizes(spec_of("ViTPose simple"), [(64, 64)])
