"""What can be told of OpenCL C without compiling it, and its syntax by clang where that is there."""

import re
import shutil
import subprocess
from math import prod
from pathlib import Path

from devices.profile import Profile

BYTES = {"char": 1, "short": 2, "half": 2, "int": 4, "float": 4, "long": 8, "double": 8}
VECTOR_TYPE = re.compile(r"\bu?(char|short|half|int|float|long|double)(2|3|4|8|16)\b")
PRIVATE_ARRAY = re.compile(r"^\s+\w+ (\w+)_ptr\[(\d+)\];", re.MULTILINE)


def body(section: str) -> str:
    """A kernel without the preprocessor's lines and the declarations of its neighbours."""
    return re.sub(r"^(#.*|__kernel [^{]*;)$", "", section, flags=re.MULTILINE)


def widest_vector_bytes(section: str) -> int:
    """Bytes of the widest vector type that a kernel names; 0 without any."""
    return max((BYTES[name] * int(lanes) for name, lanes in VECTOR_TYPE.findall(body(section))), default=0)


def accumulators(section: str) -> int:
    """Elements of a kernel's private arrays called sums, sums0, ..."""
    return sum(int(count) for name, count in PRIVATE_ARRAY.findall(section) if name.rstrip("0123456789") == "sums")


def work_groups(func) -> list[int]:
    """Work-items per work-group of each grid of a TIR function."""
    heads = re.split(r"T\.sblock\(\"kernel\w*\"\)", func.script())[:-1]
    return [prod(map(int, re.findall(r"thread_binding\((\d+), thread=\"threadIdx", head))) for head in heads]


def assert_suits(name: str, section: str, profile: Profile, dtype: str, knows_float32: bool = False) -> None:
    """A kernel keeps within the profile's vectors, registers and memories, and to its element type.

    `knows_float32`: it may sum half precision, or compute functions of it, in fp32, in vectors of as many lanes.
    """
    widest = 4 * profile.lanes * (2 if knows_float32 and dtype == "float16" else 1)
    assert widest_vector_bytes(section) <= widest, f"{name}: wider than {profile.lanes} floats"
    assert accumulators(section) <= profile.accumulators, f"{name}: more than {profile.accumulators} accumulators"
    if not profile.local_memory:
        assert "__local" not in section, f"{name}: local memory"
    assert not re.search(r"\bdouble", body(section)), f"{name}: double precision"
    if dtype == "float16":
        assert "cl_khr_fp16 : enable" in section, name
        literals = re.sub(r"\(half\)-?[\d.]+e[+-]\d+f", "", body(section))  # TVM writes half's constants so
        fp32 = re.search(r"\bfloat|\d\.\d+(e[+-]\d+)?f?\b|_float", literals)
        assert knows_float32 or not fp32, f"{name}: fp32 in fp16"
    else:
        assert "half" not in section, name


def clang() -> str | None:
    return shutil.which("clang")


def assert_compiles(texts: dict[str, str], folder: Path) -> None:
    """clang's OpenCL C 1.2 front end takes the kernels of all `texts`, whose names need not differ."""
    path = folder / "kernels.cl"
    renamed = []
    for number, (name, text) in enumerate(texts.items()):
        renamed.append(f"// {name}\n" + re.sub(r"\b((?!__)\w+_kernel(_\d+)?)\b", rf"\1_{number}_of_all", text))
    path.write_text("\n".join(renamed))
    command = ["-x", "cl", "-cl-std=CL1.2", "-target", "spir64-unknown-unknown", "-Xclang", "-finclude-default-header"]
    command.append("-D__OPENCL_VERSION__=120")  # which a device's compiler would define
    strict = ["-fsyntax-only", "-Werror", "-Wno-unused-value"]
    found = subprocess.run([clang(), *command, *strict, str(path)], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr[:4000]
