"""The agent's executable, for this machine or another."""

from __future__ import annotations

import platform
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from fleetpose.disk.refusals import write_error
from fleetpose.disk.temporaries import WorkFolder
from fleetpose.errors import unknown_name
from runtime import INCLUDE, SOURCES
from runtime.compiling import (
    FLAGS,
    MACHINES,
    PAGE,
    check_ended,
    compile_objects,
    is_android,
    make_stand_ins,
    run_zig,
    target_flags,
)

#: what the executable is called
PROGRAM = "fleetpose-agent"
HERE = Path(__file__).parent
#: the folders of the C runtime that the agent is made of: it knows nothing of pictures and people
PARTS = ("core", "opencl")
#: what starts a program, in bionic and in glibc
_STARTS = ("__libc_init", "__libc_start_main")


def sources() -> list[Path]:
    """All C files of the agent and of the parts of the runtime that it is made of."""
    return [*sorted(HERE.rglob("*.c")), *(path for part in PARTS for path in sorted((SOURCES / part).glob("*.c")))]


def build_agent(target_host: str, folder: Path, defines: Sequence[str] = ()) -> Path:
    """Compile the agent into a folder; this machine's own by its C compiler where it has one, others by ziglang.

    Args:
        target_host: a key of `runtime.compiling.MACHINES`.
        folder: where the executable is written, and one of that name replaced.
        defines: macros, NAME=VALUE, such as AGENT_SYS, the folder that conditions are read from in place of /sys.

    Raises:
        UsageError: an unknown host, or a full disk. LinkError: no compiler, or it refuses.
    """
    if target_host not in MACHINES:
        raise unknown_name("host", target_host, MACHINES)
    out, macros = folder.absolute() / PROGRAM, [f"-D{macro}" for macro in defines]
    compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
    with WorkFolder() as work:
        program = work / PROGRAM
        if target_host == own_host() and compiler is not None:
            _compile_here(compiler, program, macros)
        elif is_android(target_host):
            _link_for_android(work, program, target_host, macros)
        else:
            compiled = (*target_flags(target_host), *FLAGS, *macros, *_includes(), *map(str, sources()))
            linked = ("-Xlinker", "--gc-sections", "-s", "-o", str(program), "-lm", "-ldl")
            run_zig(work, program, ("cc", *compiled, *linked))
        program.chmod(0o755)
        try:
            shutil.copy2(program, out.with_suffix(".new"))
            out.with_suffix(".new").replace(out)  # one that runs stays as it is
        except OSError as error:
            raise write_error(str(out), error) from error
    return out


def _includes() -> list[str]:
    return ["-I", str(INCLUDE), "-I", str(SOURCES), "-I", str(HERE.parent)]


def own_host() -> str | None:
    """This machine as `build_agent` calls it; None where the agent does not run on it."""
    names = {"x86_64": "linux-x64", "aarch64": "linux-arm64"}
    return names.get(platform.machine()) if platform.system() == "Linux" else None


def _compile_here(compiler: str, out: Path, macros: Sequence[str]) -> None:
    flags = [flag for flag in FLAGS if flag != "-fno-sanitize=all"]  # zig's own
    command = [compiler, *flags, *macros, *_includes(), *map(str, sources()), "-Wl,--gc-sections", "-s", "-o", str(out),
               "-lm", "-ldl"]  # fmt: skip
    done = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", check=False)
    check_ended(done, str(out), "compiling the agent")


def _link_for_android(work: Path, out: Path, host: str, macros: Sequence[str]) -> None:
    """An executable that Android's own loader starts."""
    objects = compile_objects(sources(), work, host, ("-DFLEETPOSE_AGENT_OWN_START", *macros, *_includes()))
    headers = [*SOURCES.rglob("libc.h"), *HERE.rglob("libc.h")]
    libraries = make_stand_ins(work, headers, _STARTS)
    linker = ("ld.lld", "-pie", "-dynamic-linker", "/system/bin/linker64", "-m", "aarch64linux", "-z", "defs",
              "-z", PAGE, "--gc-sections", "--strip-all", "--build-id=sha1")  # fmt: skip
    run_zig(work, out, (*linker, "-o", str(out), *map(str, objects), *map(str, libraries)))
