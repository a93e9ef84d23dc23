"""Outputs: whole or not at all, links followed, nothing that is no file written to, and nothing left of killed runs."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from fleetpose import cli
from fleetpose.disk import temporaries
from fleetpose.disk.memory_files import MemoryFiles
from fleetpose.errors import UsageError
from fleetpose.files import (
    append,
    atomic_output,
    check_writable,
    read_json,
    remove_output,
    write_bytes,
    write_json,
    write_text,
    write_together,
)
from tests import small_disk

ROOT = Path(__file__).parents[2]
#: bytes that are no UTF-8, as Python has them
BAD = os.fsdecode(b"n\xe9e")


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


def python(code: str, *arguments: object, **variables: str) -> subprocess.Popen:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **variables}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


@pytest.mark.parametrize("there", [True, False])
def test_link_is_followed_to_what_is_there_and_to_what_is_not(tmp_path, there):
    target, link = tmp_path / "far" / "target.json", tmp_path / "link.json"
    if there:
        write_text(target, "old")
    link.symlink_to(target)
    write_text(link, "new", force=there)
    assert link.is_symlink()
    assert target.read_text() == "new"
    assert names(tmp_path / "far") == ["target.json"]


def test_names_that_are_not_utf8_are_read_again_from_json_as_they_are_shown(tmp_path):
    path = tmp_path / "x.json"
    write_json(path, {"weights": f"{BAD}/w.safetensors", "said": 'é 😀 "quoted" \\udce9'})
    assert read_json(path) == {"weights": r"n\udce9e/w.safetensors", "said": 'é 😀 "quoted" \\udce9'}


def test_link_to_a_file_that_is_there_needs_force(tmp_path):
    write_text(tmp_path / "target", "old")
    (tmp_path / "link").symlink_to("target")
    with pytest.raises(UsageError, match="link exists; add --force"):
        write_text(tmp_path / "link", "new")


def test_links_in_a_circle_are_refused(tmp_path):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(UsageError, match="the links lead in a circle"):
        write_text(tmp_path / "a", "new")


@pytest.mark.parametrize("force", [True, False])
def test_what_is_no_file_is_neither_written_to_nor_replaced(tmp_path, force):
    os.mkfifo(tmp_path / "fifo")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
    (tmp_path / "link").symlink_to("fifo")
    cases = {
        tmp_path / "fifo": "is a FIFO, in which nothing can be kept",
        tmp_path / "link": "is a FIFO",
        tmp_path / "socket": "is a socket",
        Path("/dev/null"): "is a character device",
        Path("/dev/full"): "is a character device",
        tmp_path: "is a directory",
    }
    before = names(tmp_path)
    for path, said in cases.items():
        with pytest.raises(UsageError, match=said):
            check_writable(path, force=force)
        with pytest.raises(UsageError, match=said):
            write_text(path, "text", force=force)
    assert names(tmp_path) == before


def test_names_up_to_the_file_systems_longest_are_written(tmp_path):
    longest = tmp_path / ("x" * 250 + ".json")
    write_text(longest, "text")
    assert longest.read_text() == "text"
    for path in (tmp_path / ("x" * 251 + ".json"), tmp_path / "y" / ("x" * 256)):
        for refuse in (check_writable, lambda path: write_text(path, "text")):
            with pytest.raises(UsageError, match="File name too long; give a shorter name"):
                refuse(path)
    assert names(tmp_path) == [longest.name]


def test_name_with_a_zero_byte_is_refused():
    with pytest.raises(UsageError, match="is no name of a file"):
        check_writable("a\0b")


def test_names_that_are_not_utf_8_are_written_by_temporaries_that_are(tmp_path):
    for name in (f"{BAD}.json", f"a.{BAD}", BAD):
        with atomic_output(tmp_path / name) as temporary:
            temporary.name.encode()
            assert temporary.suffix == (".json" if name.endswith(".json") else ".part")
            temporary.write_text(name, errors="surrogateescape")
        assert (tmp_path / name).read_text(errors="surrogateescape") == name
    assert len(names(tmp_path)) == 3


def test_texts_with_names_that_are_not_utf_8_are_written(tmp_path):
    write_text(tmp_path / "x", f"from {BAD} ± 1")
    assert (tmp_path / "x").read_text(encoding="utf-8") == r"from n\udce9e ± 1"


def test_permissions_are_those_of_open(tmp_path):
    before = os.umask(0o027)
    try:
        write_text(tmp_path / "x", "text")
    finally:
        os.umask(before)
    assert (tmp_path / "x").stat().st_mode & 0o777 == 0o640


UNFINISHED = """
import sys, time
from pathlib import Path
from fleetpose.files import atomic_output
with atomic_output(Path(sys.argv[1]), force=True) as temporary:
    temporary.write_text("half")
    print("there", flush=True)
    time.sleep(600)
"""


@pytest.mark.parametrize("name", ["x.json", "x" * 250 + ".json", BAD, f"{BAD}.json", "no_suffix"])
def test_next_run_removes_what_a_killed_one_left_and_nothing_else(tmp_path, name):
    others = [
        ".x-0123456789ab.json",
        ".y-0123456789ab.part.json",
        ".x-0123456789a.part.json",
        "x-0123456789ab.part.json",
    ]
    for other in others:
        (tmp_path / other).write_text("of somebody else")
    running, killed = (python(UNFINISHED, tmp_path / name) for _ in range(2))
    for process in (running, killed):
        assert process.stdout.readline() == "there\n"
    assert len(names(tmp_path)) == len(others) + 2
    killed.kill()
    killed.wait()
    write_text(tmp_path / name, "whole", force=True)
    left = set(names(tmp_path)) - set(others) - {name}
    assert len(left) == 1, "that of the process that still runs"
    running.kill()
    running.wait()
    remove_output(tmp_path / name)
    assert names(tmp_path) == sorted(others)


WORKING = """
import time
from fleetpose.disk.temporaries import WorkFolder
with WorkFolder() as folder:
    (folder / "deep").mkdir()
    (folder / "deep" / "file").write_text("half")
    print(folder.name, flush=True)
    time.sleep(600)
"""
WORKED = """
import os
from fleetpose.disk.temporaries import WorkFolder
folder = WorkFolder()
print(*sorted(os.listdir(folder.path.parent)))
"""


def test_next_process_removes_work_folders_of_killed_ones(tmp_path):
    running, killed = (python(WORKING, TMPDIR=str(tmp_path)) for _ in range(2))
    kept, left = (process.stdout.readline().strip() for process in (running, killed))
    (tmp_path / "fleetpose-work-of-somebody").mkdir()
    assert names(tmp_path) == sorted([kept, left, "fleetpose-work-of-somebody"])
    killed.kill()
    killed.wait()
    seen = python(WORKED, TMPDIR=str(tmp_path)).communicate()[0].split()
    assert kept in seen
    assert left not in seen
    running.terminate()
    running.wait()
    assert set(names(tmp_path)) == {kept, "fleetpose-work-of-somebody"}, "the last one removed its own at its end"


def test_work_folder_says_where_it_is_when_tmpdir_cannot_be_used(tmp_path):
    process = python(WORKED, TMPDIR=str(tmp_path / "missing"))
    process.communicate()
    assert process.returncode == 0
    code = "import logging; from fleetpose.disk.temporaries import *; logging.basicConfig(); print(temporary_folder())"
    printed, said = python(code, TMPDIR=str(tmp_path / "missing")).communicate()
    assert f"TMPDIR={tmp_path}/missing is missing, full or not to be written to" in said
    assert Path(printed.strip()).is_dir()


@pytest.fixture
def little_room():
    """Files of this process may grow to 16 KiB."""
    with small_disk.file_limit(1 << 14):
        yield


@pytest.mark.usefixtures("little_room")
def test_file_that_does_not_fit_is_one_line_and_leaves_nothing(tmp_path):
    write_text(tmp_path / "x", "old")
    with pytest.raises(UsageError) as refused:
        write_bytes(tmp_path / "x", bytes(1 << 15), force=True)
    assert str(refused.value) == (
        f"cannot write {tmp_path}/x: File too large; raise the limit (ulimit -f), or write to another file system"
    )
    assert (tmp_path / "x").read_text() == "old"
    assert names(tmp_path) == ["x"]


@pytest.mark.usefixtures("little_room")
def test_files_written_together_appear_together(tmp_path):
    with pytest.raises(UsageError, match=f"cannot write {tmp_path}/b: File too large"):
        write_together({tmp_path / "a": b"fits", tmp_path / "b": bytes(1 << 15), tmp_path / "c": b"fits"})
    assert names(tmp_path) == []
    write_together({tmp_path / "a": b"1", tmp_path / "b": b"2"})
    assert names(tmp_path) == ["a", "b"]


@pytest.mark.usefixtures("little_room")
def test_what_is_appended_stands_there_whole_or_not_at_all(tmp_path):
    path = tmp_path / "lines"
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    append(handle, path, b"first\n")
    with pytest.raises(UsageError, match=f"cannot write {path}: File too large"):
        append(handle, path, b"x" * (1 << 15) + b"\n")
    append(handle, path, b"second\n")
    os.close(handle)
    assert path.read_bytes() == b"first\nsecond\n"


@pytest.mark.usefixtures("little_room")
def test_what_native_code_wrote_into_memory_is_refused_by_the_disk_in_one_line(tmp_path):
    with MemoryFiles(tmp_path, ("a.o", "b.o")) as files:
        (tmp_path / "a.o").write_bytes(b"fits")
        files.store()
    assert (tmp_path / "a.o").read_bytes() == b"fits"
    assert not (tmp_path / "a.o").is_symlink()


FULL = """
import sys
from pathlib import Path
from fleetpose.files import write_bytes
from fleetpose.disk.memory_files import MemoryFiles
from fleetpose.disk.temporaries import WorkFolder

def write_output(folder):
    write_bytes(folder / "x.bin", bytes(1 << 20))

def write_object(folder):
    with WorkFolder() as work, MemoryFiles(work, ("lib0.o",)) as files:
        (work / "lib0.o").write_bytes(bytes(1 << 20))
        files.store()

def print_much(folder):
    sys.stdout = open(folder / "printed", "w")
    print("x" * (1 << 20))

def main(arguments):
    globals()[arguments.what](arguments.folder)

from fleetpose import cli
parser = cli.parser("test", "")
parser.add_argument("what")
parser.add_argument("folder", type=Path)
status = cli.run(main, parser)
print(sorted(path.name for path in Path(sys.argv[2]).iterdir()), file=sys.stderr)
sys.exit(status)
"""


@pytest.mark.parametrize(
    ("what", "said", "left"),
    [
        ("write_output", "python -m test: cannot write {}/x.bin: No space left on device; free some space there, ", []),
        (
            "write_object",
            "lib0.o: No space left on device; free some space there, or write to another disk; TMPDIR",
            [],
        ),
        (
            "print_much",
            "python -m test: cannot write the output: No space left on device; free some space there, ",
            ["printed"],
        ),
    ],
)
def test_full_disk_is_one_line(tmp_path, what, said, left):
    small_disk.need()
    done = small_disk.run_python(FULL, "256k", tmp_path, what, tmp_path, TMPDIR=str(tmp_path), PYTHONPATH=str(ROOT))
    error, listed = done.stderr.splitlines()
    assert said.format(tmp_path) in error
    assert (done.returncode, listed) == (2, str(left))


def test_read_only_file_system_is_one_line(tmp_path):
    small_disk.need()
    code = """
import subprocess, sys
subprocess.run(["mount", "-o", "remount,ro", sys.argv[1]], check=True)
from fleetpose.files import write_text
from fleetpose.errors import UsageError
try:
    write_text(sys.argv[1] + "/x", "text")
except UsageError as error:
    print(error)
"""
    done = small_disk.run_python(code, "64k", tmp_path, tmp_path, PYTHONPATH=str(ROOT))
    assert "Read-only file system; write to another folder" in done.stdout, done.stderr


def test_errors_that_escape_are_one_line_too(capsys, tmp_path):
    """What no command has foreseen of a disk or a name is not called unforeseen."""
    command = cli.parser("test", "")

    def ending(error: Exception) -> tuple[int, str]:
        def main(_arguments):
            raise error

        return cli.run(main, command, []), capsys.readouterr().err

    for number in (28, 30, 36, 122):  # ENOSPC, EROFS, ENAMETOOLONG, EDQUOT
        status, said = ending(OSError(number, os.strerror(number), "a.bin"))
        assert status == 2
        assert said.startswith(f"python -m test: cannot write a.bin: {os.strerror(number)}; ")
        assert said.count("\n") == 1
    status, said = ending(UnicodeEncodeError("utf-8", BAD, 1, 2, "surrogates not allowed"))
    assert (status, said) == (2, "python -m test: n\\udce9e is not UTF-8; rename the file, or its folder\n")
    assert ending(ValueError("odd"))[0] == 1


PRINTING = """
import sys
from fleetpose import cli
sys.exit(cli.run(lambda arguments: print("\\xb1 1 \\udce9"), cli.parser("test", ""), []))
"""


@pytest.mark.parametrize(
    ("variables", "printed"),
    [
        ({"PYTHONIOENCODING": "ascii"}, b"\\xb1 1 \\udce9\n"),
        ({"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, b"\\xb1 1 \\udce9\n"),
        ({"LC_ALL": "C"}, "± 1 \\udce9\n".encode()),
    ],
)
def test_everything_can_be_printed_in_every_encoding(variables, printed):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **variables}
    done = subprocess.run([sys.executable, "-c", PRINTING], capture_output=True, env=environment, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, printed, b"")


def test_abandoned_temporaries_are_left_where_there_are_no_locks(tmp_path, monkeypatch):
    """A file system without flock does not say whether a process still works on a file."""

    def refuse(*_):
        raise OSError(95, "Operation not supported")

    (tmp_path / ".x-0123456789ab.part.json").write_text("perhaps still in use")
    monkeypatch.setattr(temporaries.fcntl, "flock", refuse)
    write_text(tmp_path / "x.json", "text")
    assert names(tmp_path) == [".x-0123456789ab.part.json", "x.json"]
