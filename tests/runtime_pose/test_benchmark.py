"""The comparison of decoders in Python and in C."""

import json

import pytest

from benchmarks import postprocessing
from benchmarks.synthetic_people import RENDERERS
from fleetpose import cli


@pytest.mark.slow
def test_both_languages_find_the_same_people(compiler, capsys):
    arguments = ["--people", "3", "--crowds", "2", "--rounds", "2", "--json"]
    assert cli.run(postprocessing.main, postprocessing.make_parser(), arguments) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert len(rows) == 2 * len(RENDERERS) * 2
    counted = ("kind", "people", "whole", "joints", "found", "guessed", "false_people")
    for name in RENDERERS:
        python, c = (
            [row for row in rows if (row["decoder"], row["language"]) == (name, each)] for each in ("Python", "C")
        )
        assert [[row[key] for key in counted] for row in python] == [[row[key] for key in counted] for row in c]
        assert all(row["min_ms"] > 0 for row in rows)
