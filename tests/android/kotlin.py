"""The library's C and Kotlin, compiled for this machine: by OpenJDK's headers and Debian's Kotlin compiler."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from codegen.inspection.packages import SetupError, check_machine, fetch_tree
from fleetpose.disk.caches import cache_folder
from fleetpose.errors import UsageError
from runtime import INCLUDE
from tests.runtime_c.compiling import find_compiler

PROJECT = Path(__file__).parents[2] / "examples" / "android"
#: Kotlin's compiler is Java and lies in jars of these; the headers are for machines with a compiler but no JDK
PACKAGES = ("kotlin", "libtrove-intellij-java", "libjetbrains-annotations-java", "libvavr0-java",
            "openjdk-17-jdk-headless")  # fmt: skip
JARS = ("kotlin-compiler", "kotlin-stdlib", "kotlin-stdlib-jdk7", "kotlin-reflect", "kotlin-script-runtime",
        "libtrove-intellij", "vavr-0.x", "org.jetbrains.annotations-common")  # fmt: skip
#: the last one whose Kotlin runs on Java 17
SUITE = "bookworm"
#: Kotlin 1.3 reaches into classes that later JVMs keep to themselves
OPENED = ("--add-opens=java.base/java.lang=ALL-UNNAMED", "--add-opens=java.base/java.util=ALL-UNNAMED")
COMPILER = "org.jetbrains.kotlin.cli.jvm.K2JVMCompiler"


def read_kotlin(folder: Path) -> str:
    """All Kotlin below a folder, as one text."""
    return "\n".join(path.read_text(encoding="utf-8") for path in sorted(folder.rglob("*.kt")))


def debian_tree() -> Path:
    """The unpacked packages, fetched where they are not there yet; skips the test where they cannot be had."""
    folder = Path(os.environ.get("FLEETPOSE_KOTLIN") or (cache_folder() or Path("/nowhere")) / "kotlin")
    try:
        if not (folder / "whole").exists():
            check_machine()
            fetch_tree(folder, "amd64", PACKAGES, with_needs=False, suites=[SUITE])
            (folder / "whole").touch()
    except (SetupError, UsageError, OSError) as error:
        pytest.skip(f"Debian's Kotlin cannot be fetched: {error}")
    return folder / "amd64"


def find_java() -> str:
    """The JVM's program; skips the test where there is none."""
    java = shutil.which("java")
    if java is None:
        pytest.skip("needs java")
    return java


def java_headers() -> list[Path]:
    """Folders of jni.h and jni_md.h: the installed JDK's, else Debian's."""
    installed = shutil.which("javac")
    homes = [Path(os.path.realpath(installed)).parents[1]] if installed else []
    if not any((home / "include/jni.h").exists() for home in homes):
        homes = sorted((debian_tree() / "usr/lib/jvm").glob("*-openjdk-*"))
    include = next(home / "include" for home in homes if (home / "include/jni.h").exists())
    return [include, include / "linux"]


def compile_jni(folder: Path, libraries: list[Path]) -> Path:
    """The C between Kotlin and the runtime, for this machine; warnings are errors."""
    sources = sorted((PROJECT / "fleetpose/src/main/cpp").glob("*.c"))
    include = [f"-I{path}" for path in (INCLUDE, *java_headers())]
    flags = ["-std=c11", "-O1", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared", "-fvisibility=hidden"]
    out = folder / "libfleetpose_jni.so"
    command = [find_compiler(), *flags, *include, *map(str, sources), "-o", str(out), *map(str, libraries),
               "-Wl,-rpath,$ORIGIN"]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return out


def compile_kotlin(sources: list[Path], jar: Path) -> list[Path]:
    """Compile Kotlin into a jar. Answers what running it takes: the jar and Kotlin's own classes."""
    jars = {name: debian_tree() / "usr/share/java" / f"{name}.jar" for name in JARS}
    own = [jars[name] for name in ("kotlin-stdlib", "kotlin-stdlib-jdk7", "org.jetbrains.annotations-common")]
    command = [find_java(), *OPENED, "-Xmx1g", "-cp", os.pathsep.join(map(str, jars.values())), COMPILER]
    command += ["-no-stdlib", "-no-reflect", "-cp", os.pathsep.join(map(str, own)), *map(str, sources), "-d", str(jar)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "warning:" not in done.stderr, done.stderr
    return [jar, *own]
