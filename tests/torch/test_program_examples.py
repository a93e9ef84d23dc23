"""The example that an exported program carries may be anything in a damaged file."""

import pytest
import torch
from torch import nn

from fleetpose.errors import UsageError
from models.zoo.described import DEFAULT_SIZE
from models.zoo.program import read_program


@pytest.fixture
def program():
    """A network that takes any height and width, exported for 24 x 40."""
    height, width = (torch.export.Dim(name, min=8, max=512) for name in ("height", "width"))
    net, example = nn.Conv2d(3, 4, 3, padding=1), torch.zeros(1, 3, 24, 40)
    return torch.export.export(net, (example,), dynamic_shapes=({2: height, 3: width},))


def saved(program, examples, folder):
    program._example_inputs = examples
    path = folder / "net.pt2"
    torch.export.save(program, path)
    return path


def test_sides_that_vary_are_those_of_the_example(program, tmp_path):
    path = saved(program, ((torch.zeros(1, 3, 24, 40),), {}), tmp_path)
    assert read_program(str(path)).size == (24, 40)


def test_without_an_example_they_are_the_usual_ones(program, tmp_path):
    assert read_program(str(saved(program, None, tmp_path))).size == DEFAULT_SIZE


@pytest.mark.parametrize("examples", [
    (torch.zeros(2, 3), {}), ((torch.zeros(3),), {}), ((torch.zeros(1, 3, 8),), {}), (("text",), {}), ((7,), {}),
])  # fmt: skip
def test_an_example_that_is_no_input_is_refused(program, examples, tmp_path):
    with pytest.raises(UsageError, match="example that is no input"):
        read_program(str(saved(program, examples, tmp_path)))
