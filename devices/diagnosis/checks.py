"""The parts `devices.doctor` looks at, in the order it looks: each a function that answers in words or raises.

TVM is imported inside checks only, so that the doctor can explain its absence.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from devices.adb.server import AdbServer, find_adb
from devices.diagnosis.patient import Check, Missing, Patient, Skipped
from devices.opening import open_device
from devices.rpc import tracker
from fleetpose.disk.temporaries import WorkFolder
from runtime.pip_opencl import pip_libraries

PING_RUNS = 50
TOLERANCE = 1e-5


def python(_: Patient) -> str:
    return f"{platform.python_version()} on {platform.system()} {platform.machine()}"


def pins(_: Patient) -> str:
    """TVM and its ffi at the versions this distribution pins."""
    try:
        wanted = importlib.metadata.requires("fleetpose") or []
    except importlib.metadata.PackageNotFoundError as error:
        raise Missing("fleetpose itself is not installed") from error
    packages = []
    for requirement in wanted:
        pinned = re.match(r"(apache-tvm(?:-ffi)?)==([\w.]+)", requirement)
        if not pinned:
            continue
        name, version = pinned.groups()
        try:
            installed = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError as error:
            raise Missing(f"{name} is not installed") from error
        if installed != version:
            raise RuntimeError(f"{name} {installed} is installed, {version} is needed (others crash)")
        packages.append(f"{name} {installed}")
    return ", ".join(packages)


def tvm_import(_: Patient) -> str:
    import tvm

    return f"with its compiler, from {Path(tvm.__file__).parent}"


def backend(_: Patient) -> str:
    """The C++ library, loaded by `import tvm` through its entry point."""
    import tvm  # noqa: F401

    from devices import runtime

    status = runtime.status()
    if status.get("library") is None:
        raise Missing(status.get("error") or "not built")
    if not status.get("loaded"):
        raise RuntimeError(status.get("error") or "not loaded")
    return str(status["library"])


def linker(_: Patient) -> str:
    if importlib.util.find_spec("ziglang") is None:
        raise Missing("pip's ziglang is not installed")
    command = [sys.executable, "-m", "ziglang", "ld.lld", "--version"]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", timeout=60)
    if done.returncode:
        raise RuntimeError(done.stderr.strip()[-200:])
    return done.stdout.strip().splitlines()[0]


def compiler(_: Patient) -> str:
    for name in ("c++", "g++", "clang++"):
        if path := shutil.which(name):
            return path
    raise Missing("no C++ compiler; only building the backend needs one")


def rpc(patient: Patient) -> str:
    """Opens the session that the checks after this one use."""
    patient.session = open_device(patient.spec, profile="host", require_opencl=False)
    return f"session of {patient.spec!r} opened"


def round_trip(patient: Patient) -> str:
    session = patient.require_session()
    taken = []
    for _ in range(PING_RUNS):
        start = time.perf_counter()
        session.function("rpc.Connect")  # a look-up by name: the smallest message there and back
        taken.append(time.perf_counter() - start)
    return f"{statistics.median(taken) * 1e3:.3f} ms median of {PING_RUNS}, {max(taken) * 1e3:.3f} ms at most"


def libopencl(patient: Patient) -> str:
    """The library that the server has opened; on this machine also those of pip that it could open instead."""
    session = patient.require_session()
    library = session.function("fleetpose.opencl.library")
    if library is None:
        raise Missing("the server has no fleetpose backend")
    with session.guard("looking for libOpenCL"):
        opened = str(library())
    others = [path for path, *_ in pip_libraries() if patient.spec == "host" and path != opened]
    return "; ".join([opened, *(f"FLEETPOSE_LIBOPENCL=pip would take {path}" for path in others[:1])])


def opencl_devices(patient: Patient) -> str:
    """Every device the server can see; the first is the one that runs kernels."""
    listed = patient.require_session().ask("fleetpose.opencl.devices")
    if listed is None:
        raise Missing("the server has no fleetpose backend")
    if not listed:
        raise Missing("libOpenCL lists no device")
    return "; ".join(_describe(device) for device in listed)


def _describe(device: dict[str, Any]) -> str:
    offers = ", ".join(f"{'has' if device.get(part) else 'no'} {part}" for part in ("fp16", "image2d"))
    name, platform, driver = device["name"], device["platform"], device["driver"]
    return f"opencl({device['index']}): {name} [{platform}], driver {driver}, {offers}"


def kernel(patient: Patient) -> str:
    """A small kernel: compiled here, linked, sent, run there, compared with NumPy."""
    session = patient.require_session()
    if not session.info.name:
        raise Skipped("no OpenCL device")
    from devices.diagnosis import small_kernel

    with WorkFolder() as folder:
        machine, name = small_kernel.machine_of(session), f"small{small_kernel.suffix_of(session)}"
        path = small_kernel.build(folder / name, machine=machine)
        module = session.load(path)
        with session.guard("running a small kernel"):
            error = small_kernel.error_on(session, module)
    if not error <= TOLERANCE:
        raise RuntimeError(f"wrong by {error:g} (tolerance {TOLERANCE:g})")
    return f"compiled, linked, sent, run; max abs error {error:g}"


def program_cache(patient: Patient) -> str:
    """Where built OpenCL programs are kept: the server says, and for this machine it is tried."""
    stats = patient.require_session().ask("fleetpose.opencl.cache_stats")
    if stats is None:
        raise Missing("the server has no fleetpose backend")
    if not stats["directory"]:
        raise Missing("switched off (FLEETPOSE_CACHE=0), or neither HOME nor TMPDIR can be written to")
    if patient.spec == "host":
        folder = Path(stats["directory"])
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    moved = f", since {stats['unwritable']} cannot be written to" if stats.get("unwritable") else ""
    return f"{stats['directory']}{moved} ({stats['hits']} hits, {stats['misses']} misses in this session)"


def environment_tracker(_: Patient) -> str:
    address = tracker.Address.from_environment()
    if address is None:
        raise Missing("TVM_TRACKER_HOST is not set")
    offered = tracker.summary(address)
    keys = ", ".join(f"{key} ({state['free']} of {state['servers']} free)" for key, state in offered.items())
    return f"{address}: {keys or 'offers nothing'}"


def adb(_: Patient) -> str:
    """The program, and the phones that its server has."""
    path = find_adb()
    if path is None:
        raise Missing("not on PATH; only phones at a cable need it")
    server = AdbServer.from_environment()
    server.ensure_running()
    phones = [f"{phone.serial} ({phone.model or phone.state})" for phone in server.phones()]
    return f"{path}; phones: {', '.join(phones) or 'none'}"


def ndk(_: Patient) -> str:
    for name in ("TVM_NDK_CC", "ANDROID_NDK_HOME", "ANDROID_NDK_ROOT"):
        if value := os.environ.get(name):
            if not Path(value).exists():
                raise RuntimeError(f"{name}={value} does not exist")
            return f"{name}={value}"
    raise Missing("neither TVM_NDK_CC nor ANDROID_NDK_HOME is set; only a native server for phones needs it")


PIP = "python -m pip install"
APT = "sudo apt-get install -y"
WRITABLE = "/a/writable/folder"
DEVICES = (
    f"{APT} pocl-opencl-icd; or unset FLEETPOSE_OPENCL_DEVICE; or, for PoCL where neither HOME nor TMPDIR can be "
    f"written to: export POCL_CACHE_DIR={WRITABLE}"
)
INTEL = f"{PIP} intel-opencl-rt intel-cmplr-lib-rt"

CHECKS = (
    Check("Python", True, python, f"{APT} python3.11"),
    Check("TVM pins", True, pins, f"{PIP} -e . (it pins them)"),
    Check("TVM import", True, tvm_import, f"{PIP} --force-reinstall apache-tvm==0.27.0.post1"),
    Check("backend", True, backend, f"{PIP} --no-build-isolation -e . (needs a C++ compiler; or make setup)"),
    Check("linker", True, linker, f"{PIP} ziglang"),
    Check("C++ compiler", False, compiler, f"{APT} g++"),
    Check("RPC session", True, rpc, "python -m devices.doctor -vv (shows where it stops)"),
    Check("RPC round trip", True, round_trip, "mend the RPC session first"),
    Check("libOpenCL", True, libopencl, f"{APT} ocl-icd-libopencl1 pocl-opencl-icd; without root, x86-64: {INTEL}"),
    Check("OpenCL devices", True, opencl_devices, DEVICES),
    Check("small kernel", True, kernel, "FLEETPOSE_CACHE=0 python -m devices.doctor (then without the program cache)"),
    Check("program cache", False, program_cache, f"export FLEETPOSE_CACHE_DIR={WRITABLE}/fleetpose"),
    Check("tracker", False, environment_tracker, "export TVM_TRACKER_HOST=... TVM_TRACKER_PORT=9190"),
    Check("adb", False, adb, f"{APT} adb; or {PIP} adbutils, which brings it"),
    Check("Android NDK", False, ndk, "export ANDROID_NDK_HOME=/path/to/ndk"),
)
