"""Build the OpenCL backend and the C runtime with pip's ziglang, for machines without a compiler (Linux).

tools/setup.sh calls this.

TVM's wheels use GNU's C++ runtime, libstdc++.so.6, which every desktop and server has; its headers come only with g++.
ziglang brings clang and the headers and archives of LLVM's: libc++, libc++abi, libunwind. A backend built with all of
these could not throw an exception into TVM, because each runtime catches only its own. So this links libc++'s archive
(strings, streams: templates and plain functions, in a namespace of their own) and takes the runtime below it, which
throws, catches, unwinds and knows types, from libstdc++.so.6 and libgcc_s.so.1, as TVM does. `zig_abi.cc` has the four
functions that the two disagree on.

The first build compiles libc++ itself: two to three minutes of CPU time in all.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import platform
import subprocess
import sys
import sysconfig
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

SOURCES = Path(__file__).resolve().parents[1] / "devices" / "runtime" / "src"
C_RUNTIME = SOURCES.parents[2] / "runtime" / "src"
PACKAGES = Path(sysconfig.get_path("platlib"))
LIBRARY = PACKAGES / "devices" / "runtime" / "libfleetpose_opencl.so"
C_LIBRARY = PACKAGES / "runtime" / "libfleetpose.so"
FLAGS = ["-O2", "-fPIC", "-DNDEBUG", "-fno-sanitize=all"]
GLIBC = "2.28"  # at least; TVM's wheels want no newer one


def package(name: str) -> Path:
    """The folder of an installed package, which is not imported. Raises SystemExit where it is not installed."""
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit(f"{sys.executable} has no package {name}: python -m pip install {name}")
    return Path(spec.submodule_search_locations[0])


def system_library(name: str) -> str:
    """The path of a shared library of this system, by loading it. Raises SystemExit where there is none."""
    try:
        ctypes.CDLL(name)
    except OSError as error:
        raise SystemExit(f"TVM needs {name}, which this system does not have ({error})") from error
    paths = (line.split()[-1] for line in Path("/proc/self/maps").read_text(encoding="utf-8").splitlines())
    return next(path for path in paths if Path(path).name.startswith(name))


def run_zig(cache: str, language: str, *arguments: object) -> None:
    """Run zig's compiler "cc" or "c++" for this machine. Raises SystemExit, with what it said, where that fails."""
    target = ["-target", f"{platform.machine()}-linux-gnu.{GLIBC}"]
    command = [package("ziglang") / "zig", language, *target, *FLAGS, *arguments]
    settings = {"ZIG_GLOBAL_CACHE_DIR": cache, "ZIG_LOCAL_CACHE_DIR": cache}
    done = subprocess.run(
        [*map(str, command)], env={**os.environ, **settings}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    if done.returncode:
        raise SystemExit(f"zig {language} failed:\n{done.stdout.decode(errors='replace')[-3000:]}")


def build(output: Path) -> None:
    """Compile and link the backend into `output`. Raises SystemExit, with what the compiler said, where that fails."""
    tvm, ffi = package("tvm"), package("tvm_ffi")
    with tempfile.TemporaryDirectory(prefix="fleetpose-zig-") as cache:

        def zig(*arguments: object) -> None:
            run_zig(cache, "c++", "-std=c++17", *arguments)

        def compile_source(source: Path) -> Path:
            compiled = Path(cache) / f"{source.stem}.o"
            zig("-I", C_RUNTIME, "-isystem", tvm / "include", "-isystem", ffi / "include", "-c", source, "-o", compiled)
            return compiled

        probe = Path(cache) / "probe.cc"
        probe.write_text("int probe;\n", encoding="utf-8")
        zig("-shared", "-o", probe.with_suffix(".so"), probe)  # makes zig compile libc++ into its cache
        libcxx = next(Path(cache).glob("o/*/libc++.a"))
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            objects = list(pool.map(compile_source, sorted(SOURCES.glob("*.cc"))))
        objects.append(Path(cache) / "sha256_c.o")  # the C runtime's
        run_zig(cache, "cc", "-std=c11", "-I", C_RUNTIME, "-c", C_RUNTIME / "core" / "sha256.c", "-o", objects[-1])
        output.parent.mkdir(parents=True, exist_ok=True)
        zig(
            "-shared", "-nostdlib++", "-Wl,--gc-sections", "-Wl,-rpath,$ORIGIN/../../tvm/lib:$ORIGIN/../../tvm_ffi/lib",
            "-o", output, *objects, libcxx, tvm / "lib" / "libtvm_runtime.so", ffi / "lib" / "libtvm_ffi.so",
            system_library("libstdc++.so.6"), system_library("libgcc_s.so.1"), "-ldl", "-lpthread",
        )  # fmt: skip


def build_c_runtime(output: Path) -> None:
    """Compile and link the C runtime into `output`. Raises SystemExit as `build` does."""
    files = sorted(C_RUNTIME.rglob("*.c"))
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="fleetpose-zig-") as cache:
        include = ["-I", C_RUNTIME, "-I", C_RUNTIME.parent / "include"]
        run_zig(
            cache, "cc", "-std=c11", "-fvisibility=hidden", "-shared", *include, "-o", output, *files, "-lm", "-ldl"
        )


if __name__ == "__main__":
    build_c_runtime(C_LIBRARY)
    print(C_LIBRARY)
    build(LIBRARY)
    print(LIBRARY)
