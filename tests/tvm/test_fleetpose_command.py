"""The command `fleetpose`: every verb once, the frame of `python -m`, and one line for what goes wrong."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import fleetpose
from fleetpose.__main__ import main
from fleetpose.commands import VERBS
from tests import sweep

ROOT = Path(__file__).parents[2]


def test_verbs_are_all_commands_of_the_packages():
    paths = [
        path
        for package in ("devices", "models", "codegen", "latency")
        for path in (ROOT / package).rglob("*.py")
        if "\ndef make_parser(" in path.read_text()
    ]
    modules = {".".join(path.relative_to(ROOT).with_suffix("").parts) for path in paths}
    assert {f"{verb.module}.__main__" if verb.is_package else verb.module for verb in VERBS.values()} == modules


def test_help_lists_every_verb(capsys):
    assert main(["--help"]) == 0
    printed = capsys.readouterr().out
    assert all(f"  {name} " in printed for name in VERBS)
    assert max(map(len, printed.splitlines())) <= 100


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"fleetpose {fleetpose.__version__}\n"


def test_no_verb_shows_the_overview(capsys):
    assert main([]) == 2
    assert "usage: fleetpose VERB" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_help_that_cannot_be_printed_is_an_error_in_a_line():
    script = ROOT / "tests" / "tvm" / "help_on_full_disk.py"
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    ends = json.loads(done.stdout)
    assert len(ends) == 2 * (len(VERBS) + 3)
    for words, (status, said) in ends.items():
        name = words.partition(" --help")[0] if words.partition(" ")[0] in VERBS else ""
        assert (status, said.count("\n")) == (2, 1), (words, said)
        assert said.startswith(f"fleetpose {name}".strip() + ": cannot write the output: No space left on device"), said


def test_unknown_verb_suggests(capsys):
    assert main(["optimise"]) == 2
    assert "unknown command 'optimise'; did you mean 'optimize'?" in capsys.readouterr().err


@sweep.part(3)
@pytest.mark.parametrize(
    ("line", "completions"),
    [
        ("fleetpose opt", {"optimize"}),
        ("fleetpose --v", {"--version"}),
        ("fleetpose doctor --dev", {"--device"}),
        ("fleetpose collect --sparsi --json", {"--sparsity"}),
        ("fleetpose nothing --dev", set()),
    ],
)
def test_completion_knows_verbs_and_their_flags(tmp_path, line, completions):
    pytest.importorskip("argcomplete", reason="argcomplete is not installed: pip install '.[completion]'")
    out, point = tmp_path / "out", str(len(line.removesuffix(" --json")))
    question = {"COMP_LINE": line, "COMP_POINT": point, "COMP_TYPE": "9", "_ARGCOMPLETE": "1", "_ARGCOMPLETE_IFS": "\n"}
    variables = {**os.environ, **question, "_ARGCOMPLETE_STDOUT_FILENAME": str(out)}
    subprocess.run([sys.executable, "-m", "fleetpose"], env=variables, cwd=ROOT, check=True, timeout=900)
    assert set(map(str.strip, out.read_text().splitlines())) == completions


@pytest.mark.parametrize("name", ["doctor", "serve"])
def test_help_of_a_verb_names_the_command(capsys, name):
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: fleetpose {name} ")


def test_wrong_flag_of_a_verb_is_one_line(capsys):
    assert main(["doctor", "--wrong"]) == 2
    assert capsys.readouterr().err == (
        "fleetpose doctor: unrecognized arguments: --wrong; see fleetpose doctor --help\n"
    )


def test_import_of_the_command_imports_no_other_package():
    code = "import sys, fleetpose.__main__; print([m for m in ('models', 'devices', 'codegen') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout == "[]\n"


# An editable install maps the packages' names before sys.path is asked: its finder is taken out, as in a wheel.
HIDDEN = """
import runpy, sys
sys.meta_path[:] = [finder for finder in sys.meta_path if finder.__class__ is type]
sys.path[:0] = [{folder!r}, {root!r}]
sys.argv = {argv!r}
runpy.run_module({module!r}, run_name="__main__")
"""


@pytest.mark.parametrize(
    ("module", "argv", "status"), [("fleetpose", ["fleetpose", "doctor"], 2), ("latency.fit", ["fit", "--help"], 1)]
)
def test_folder_that_hides_a_package_is_named(tmp_path, module, argv, status):
    hiding = tmp_path / "devices" / "__init__.py"
    hiding.parent.mkdir()
    hiding.write_text("")
    code = HIDDEN.format(folder=str(tmp_path), root=str(ROOT), argv=argv, module=module)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == status, done.stderr
    assert (
        f"{hiding} hides fleetpose's own package 'devices'; rename it, or run from another folder"
        in (done.stderr.splitlines()[-1])
    )
