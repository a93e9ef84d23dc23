"""The command that tries public definitions: what it says of a network, and parts of packages that it imports."""

from __future__ import annotations

import sys

import pytest
import torch
from torch import nn

from benchmarks.definitions import __main__ as command
from benchmarks.definitions import openmmlab
from benchmarks.definitions.catalogue import PACKAGES
from benchmarks.definitions.examine import Definition, DefinitionRow, examine
from benchmarks.definitions.imports import import_file, import_part
from fleetpose import cli
from tests.small_network import Fn


def network() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU())


def unsupported() -> nn.Module:
    return Fn(lambda s, x: torch.erfinv(s.c(x)), c=nn.Conv2d(3, 4, 3))


def broken() -> nn.Module:
    raise OSError("no such file")


@pytest.mark.parametrize(
    ("make", "state", "reason"),
    [
        (network, "equal", ""),
        (unsupported, "refused", "cannot convert torch operator 'erfinv'"),
        (broken, "not made", "OSError: no such file"),
    ],
)
def test_row_says_what_comes_of_a_definition(make, state, reason):
    row = DefinitionRow("package", "1.0", "net", "8x9")
    examine(row, Definition("net", make, (3, 8, 9)))
    assert row.state == state
    assert row.reason.startswith(reason)
    assert (row.layers, row.cuts) == (("1", "0") if state in ("equal", "traced") else ("", ""))


def test_command_keeps_rows_and_counts_them(tmp_path, monkeypatch, capsys):
    nets = [Definition("first", network, (3, 8, 9)), Definition("second", unsupported, (3, 8, 8))]
    monkeypatch.setitem(PACKAGES, "torch", lambda: iter(nets))
    argv = ["--package", "torch", "--csv", str(tmp_path / "rows.csv")]
    for part in (["--network", "first"], []):
        assert cli.run(command.main, command.make_parser(), [*argv, *part]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-2].split() == ["torch", torch.__version__, "2", "1", "0", "0", "1", "0", "0", "0"]
    assert lines[-1].startswith("torch second: refused: cannot convert")
    assert [row.state for row in command.read_rows(tmp_path / "rows.csv").values()] == ["equal", "refused"]
    for name, words in (("timmm", "did you mean 'timm'"), ("effdet", "effdet is not installed; pip install effdet")):
        assert cli.run(command.main, command.make_parser(), ["--package", name]) == 2
        assert words in capsys.readouterr().err


def test_part_of_a_package_is_imported_where_the_whole_cannot_be(tmp_path, monkeypatch):
    package = tmp_path / "whole_package"
    (package / "nets").mkdir(parents=True)
    (package / "__init__.py").write_text("raise OSError('a display is needed')\n")
    (package / "nets" / "__init__.py").write_text("from absent_package.deeper import jit, Base\n")
    (package / "nets" / "part.py").write_text(
        "from whole_package.nets import Base, jit\n"
        "class Net(Base):\n    @jit(fast=True)\n    def answer(self):\n        return 7\n"
    )
    (package / "alone.py").write_text("value = 3\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    try:
        part = import_part("whole_package.nets.part", ("whole_package",), ("absent_package", "torch"))
        assert part.Net().answer() == 7
        assert import_file("whole_package", "alone.py").value == 3
        assert sys.modules["torch"] is torch
    finally:
        for name in [name for name in sys.modules if name.startswith(("whole_package", "absent_package"))]:
            del sys.modules[name]


def test_configurations_of_openmmlab_download_nothing():
    settings = {"pretrained": "url", "backbone": {"init_cfg": {"url": "x"}, "depth": 50}, "heads": [{"init_cfg": 1}]}
    openmmlab.forget_downloads(settings)
    assert settings == {"backbone": {"depth": 50}, "heads": [{}]}
    head = Fn(lambda s, x: x + 1)
    model = Fn(lambda s, x: x)
    model.extract_feat = lambda x: 2 * x
    assert openmmlab.WithoutDecoding(model)(3) == 6
    model.bbox_head = head
    assert openmmlab.WithoutDecoding(model)(3) == 7
