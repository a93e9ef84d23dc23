"""What a network's outputs may be: of maps that are cut off at zero but for a few elements, too."""

import numpy as np
import torch
from torch import nn

from codegen.judging.networks import right_outputs
from models.frontend.trace import trace
from models.graph.reference import run_graph


def mostly_dead(picture: torch.Tensor) -> nn.Module:
    """Its last convolution reads zeros but for each channel's largest element, of which little more than rounding is
    left, so that its output is zero almost everywhere."""
    network = nn.Sequential(
        nn.Conv2d(3, 64, 3, padding=1), nn.ReLU(), nn.Conv2d(64, 3, 3, padding=1), nn.ReLU(), nn.Conv2d(3, 2, 1)
    ).double()
    with torch.no_grad():
        network[2].weight *= 1000
        network[2].bias -= network[:3](picture.double()).amax((0, 2, 3)) - 1e-3
        network[4].bias.zero_()
    return network.float().eval()


def test_rounding_of_a_few_elements_that_are_not_cut_off_is_not_called_wrong():
    for seed in range(8):
        torch.manual_seed(seed)
        picture = torch.rand(1, 3, 64, 64) - 0.5
        graph, x = trace(mostly_dead(picture), (3, 64, 64), "dead"), picture.numpy()
        (right,) = right_outputs(graph, x, "float32")
        ours = run_graph(graph, x, np.float32)[0]
        assert np.count_nonzero(right.value) <= 6
        assert right.fault(ours) is None, seed
        wrong = ours.copy()
        wrong[..., 0, 0] += 0.1
        assert "is off by 0.1" in right.fault(wrong)
