"""Every command's help, then a way through commands that print and write, all in this process.

For interpreters with other settings: `python -OO tests/tvm/walk_commands.py FOLDER`, LC_ALL=C, no HOME.
"""

import json
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from fleetpose import cli
from fleetpose.__main__ import load_verb, main, overview
from fleetpose.commands import VERBS
from tests.small_network import register_small


def walk(folder: Path) -> None:
    print(overview())
    for verb in VERBS.values():
        help_text = load_verb(verb)[1].format_help()
        assert verb.name in help_text
        cli.print_anything()
        print(help_text)
    model = register_small()
    device = ("--device", "null", "--profile", "mali-g76")
    timings, model_file = folder / "t.jsonl", folder / "m.predictor"
    plan, built = folder / os.fsdecode(b"pl\xe4n.json"), folder / "x.so"
    for words in (
        ("list",),
        ("layers", "--model", model),
        ("collect", "--model", model, "--around", 40, "--sparsity", "columns:0.5:4x1", *device, "-o", timings),
        ("fit", "--data", timings, "--no-search", "-o", model_file),
        ("predict", "--model", model, "--predictor", model_file),
        ("decide", "--model", model, "--predictor", model_file, "-o", plan),
        ("build", "--model", model, "--profile", "mali-g76", "--plan", plan, "--prune", "-o", built),
    ):
        status = main([str(word) for word in words])
        assert status == 0, (words, status)
    assert json.loads(built.with_suffix(".json").read_text(encoding="utf-8"))["plan"]["file"] == plan.name


if __name__ == "__main__":
    walk(Path(sys.argv[1]))
