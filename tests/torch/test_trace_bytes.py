"""Modules that take a picture of bytes and cast it themselves."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from fleetpose.errors import UsageError
from models.frontend.results.eager import output_runner
from models.frontend.trace import trace
from models.graph.reference import run_graph


class TakesBytes(nn.Module):
    """A camera's picture, upright and normalised inside the network."""

    def __init__(self, cast=lambda x: x.float() / 255):
        super().__init__()
        self.conv, self.cast = nn.Conv2d(3, 5, 3, 2, 1), cast

    def forward(self, picture):
        if picture.dtype != torch.uint8:
            raise TypeError("a picture is of bytes")
        return self.conv(self.cast(picture.flip(1)))


CASTS = {
    "float": lambda x: x.float() / 255,
    "to": lambda x: x.to(torch.float32).sub(128).div(256),
    "division": lambda x: x / 255,
    "cropped before": lambda x: x[..., 1:, 2:].float() - 7,
    "joined before": lambda x: torch.cat([x[:, 1:], x[:, :1]], 1).to(torch.float32),
    "compared": lambda x: (x > 127).float() - 0.5,
}


@pytest.mark.parametrize("exported", [False, True])
@pytest.mark.parametrize("name", CASTS)
def test_a_module_of_bytes_is_traced_as_one_of_their_numbers(name, exported):
    torch.manual_seed(1)
    module = TakesBytes(CASTS[name]).eval()
    picture = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (1, 3, 9, 14), np.uint8))
    program = torch.export.export(module, (picture,)) if exported else module
    graph = trace(program, (3, 9, 14))
    (ours,) = run_graph(graph, picture.numpy())
    expected = module(picture).detach().numpy()
    assert np.abs(ours - expected).max() <= 1e-5 * np.abs(expected).max()


def test_a_module_of_bytes_is_run_on_their_numbers():
    torch.manual_seed(1)
    module = TakesBytes().eval()
    picture = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (1, 3, 9, 14), np.uint8))
    with torch.no_grad():
        expected = module(picture)
        (ours,) = output_runner(module)(picture.float())
        torch.testing.assert_close(ours, expected)
        (exact,) = output_runner(module.double())(picture.double())
        assert exact.dtype == torch.float64
        torch.testing.assert_close(exact.float(), expected)
        with pytest.raises(RuntimeError, match="channels"):
            output_runner(nn.Conv2d(3, 4, 1))(torch.zeros(1, 2, 5, 5))


def test_a_module_that_casts_to_float_is_run_in_double_precision():
    torch.manual_seed(1)
    module = nn.Conv2d(3, 5, 3)
    module.register_forward_pre_hook(lambda part, inputs: inputs[0].float() / 255)
    x = torch.rand(1, 3, 9, 14)
    with torch.no_grad():
        expected = module(x)
        (exact,) = output_runner(module.double())(x.double())
    assert exact.dtype == torch.float64
    torch.testing.assert_close(exact.float(), expected)


@pytest.mark.parametrize("cast", [lambda x: (x - 128).float(), lambda x: (x * 2).float(), lambda x: (255 - x) / 2])
def test_arithmetic_of_bytes_is_refused(cast):
    with pytest.raises(UsageError, match="it computes with whole numbers; cast the picture to floating point before"):
        trace(TakesBytes(cast), (3, 9, 14))
