"""Objects and shared objects on a disk that is full: one line each, where LLVM would end the process."""

from pathlib import Path

from tests import small_disk

ROOT = Path(__file__).parents[2]
#: links a small kernel on a disk that grows from call to call, until it fits
GROWING = """
import subprocess, sys
from pathlib import Path
from devices.diagnosis import small_kernel
from fleetpose.errors import UsageError
from fleetpose.disk.temporaries import temporary_folder

folder, elsewhere = map(Path, sys.argv[1:])
assert temporary_folder() == folder
for size in range(4096, 1 << 20, 8192):
    subprocess.run(["mount", "-o", f"remount,size={size}", folder], check=True)
    try:
        small_kernel.build(elsewhere / "small.so")
        print("built")
        break
    except UsageError as error:
        print(error)
    assert list(folder.iterdir()) == [], "nothing is left of what did not fit"
"""


def test_small_kernel_is_linked_or_refused_in_one_line_however_small_the_disk(tmp_path):
    small_disk.need()
    disk, elsewhere = tmp_path / "disk", tmp_path / "elsewhere"
    disk.mkdir()
    elsewhere.mkdir()
    variables = {"TMPDIR": str(disk), "PYTHONPATH": str(ROOT)}
    done = small_disk.run_python(GROWING, "64k", disk, disk, elsewhere, **variables)
    assert done.returncode == 0, done.stderr
    *refusals, last = done.stdout.splitlines()
    assert last == "built"
    assert refusals
    assert all("No space left on device; free some space there" in line for line in refusals)
    assert all("TMPDIR says where temporary files go" in line for line in refusals)
    assert any("lib0.o" in line or "devc.o" in line for line in refusals)
