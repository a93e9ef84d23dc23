"""models.check: what of a network runs where, all that is refused, and the exit status."""

from __future__ import annotations

import json
import sys
import textwrap

import pytest

from fleetpose import cli
from models import check, layers

SOURCE = """
    import torch
    from torch import nn

    class Net(nn.Module):
        fleetpose = {"size": [16, 24], "preprocessing": {"mean": [0, 0, 0], "scale": 1}}

        def __init__(self):
            super().__init__()
            self.stem, self.head = nn.Conv2d(3, 8, 3, 2, 1), nn.Conv2d(8, 4, 1)

        def forward(self, x):
            return self.head(torch.relu(self.stem(x)))

    class Refused(Net):
        def forward(self, x):
            x = torch.erfinv(torch.erfinv(self.stem(x)))
            return {"heat": self.head(x), "more": torch.lgamma(x)}

    class Falling(Net):
        def forward(self, x):
            x = self.stem(x)
            x = nn.functional.conv3d(x.unflatten(1, (2, 4)), self.stem.weight.new_ones(4, 2, 3, 3, 3))
            return self.head(x.flatten(1, 2))

    class Cut(Net):
        def forward(self, x):
            heat = super().forward(x)
            return heat.flatten(2).argmax(2)
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder, with own_checked.py in it."""
    (tmp_path / "own_checked.py").write_text(textwrap.dedent(SOURCE))
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    sys.modules.pop("own_checked", None)
    sys.path[:] = [entry for entry in sys.path if entry != str(tmp_path)]


def run(capsys, command, *argv) -> tuple[int, str]:
    capsys.readouterr()
    status = cli.run(command.main, command.make_parser(), list(argv))
    return status, capsys.readouterr().out


def test_check_counts_a_network_that_is_supported(folder, capsys):
    status, text = run(capsys, check, "--model", "own_checked:Net", "--json")
    facts = json.loads(text)
    macs = 8 * 12 * (27 * 8 + 8 * 4)
    assert (status, facts["ok"], facts["macs"], facts["macs_on_kernels"], facts["share"]) == (0, True, macs, macs, 1)
    assert facts["layers"] == [{"kind": "conv", "count": 2, "macs": macs}]
    assert facts["outputs"] == ["output_0"]
    status, text = run(capsys, layers, "--model", "own_checked:Net", "--size", "16x24")
    assert "2 layers, 0.000 GMACs (100.0%) on kernels of ours" in text


def test_check_lists_every_refusal_with_place_and_mend(folder, capsys):
    status, text = run(capsys, check, "--model", "own_checked:Refused")
    assert status == 1
    assert (
        "erfinv in the root module (own_checked.py:17), 2 times: it is not supported, and has no fallback; write it"
        in text
    )
    assert "lgamma in the root module (own_checked.py:18): it is not supported, and has no fallback; write it" in text
    assert "2 layers, 0.000 GMACs (100.0%) on kernels of ours; 3 operators, 0.000 GMACs not supported" in text


def test_check_says_where_a_network_is_cut(folder, capsys):
    status, text = run(capsys, check, "--model", "own_checked:Cut")
    assert status == 0
    assert "the network is cut before 'argmax' in the root module (own_checked.py:29)" in text
    status, text = run(capsys, layers, "--model", "own_checked:Cut", "--json")
    assert json.loads(text)["residency"]["cuts"][0]["given"] == ["head"]


def test_check_lists_fallbacks_with_their_share_reason_and_mend(folder, capsys):
    status, text = run(capsys, check, "--model", "own_checked:Falling", "--json")
    facts = json.loads(text)
    (fallen,) = facts["fallback"]
    assert (status, facts["ok"], facts["macs_on_fallback"]) == (0, True, 6 * 10 * 8 * 2 * 27)
    assert facts["macs"] == facts["macs_on_fallback"] + facts["macs_on_kernels"]
    assert (fallen["kind"], fallen["count"], fallen["macs"]) == ("conv3d", 1, 6 * 10 * 8 * 2 * 27)
    status, text = run(capsys, check, "--model", "own_checked:Falling")
    assert "1 layers, 0.000 GMACs (53.4%) fall back to TVM's" in text
    assert "conv3d in the root module (own_checked.py:23): its result has shape (1, 4, 2, 6, 10);" in text
    assert "it runs, but slower; where time matters" in text
    status, text = run(capsys, layers, "--model", "own_checked:Falling", "--size", "16x24")
    assert "fallback (conv3d)" in text
    assert "conv3d in the root module: no layer of ours expresses it" in text
