"""The Android archive of an app's library (.aar): what Gradle takes as a dependency, and reading it back.

The layout is the Android Gradle plugin's: a manifest, which is merged into the app's; jni/, whose library the app
ships; prefab/ (google.github.io/prefab), by which an app's own C or C++ finds the library and its header; and a jar of
classes and a table of resources, which have to be there, and hold nothing. The same content is the same bytes.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from codegen.linking.elf import ElfError, ElfReport, check_library, plain
from fleetpose.disk.reading import read_whole
from fleetpose.disk.temporaries import WorkFolder
from fleetpose.errors import FleetposeError
from models.zoo.stored.archive import DAMAGE
from runtime import INCLUDE, SOURCES

#: the only processor and system that an archive is for, as codegen.linking.hosts and as Android call it
HOST, ABI = "android-arm64", "arm64-v8a"
#: the name that apps load and link the library by, whatever the archive is called
MODULE = "pose"
LIBRARY, HEADER = f"lib{MODULE}.so", "fleetpose.h"
#: Android 7, the first that CameraX and all functions that the runtime calls are in
LEAST_API = 24
#: of the NDK that the plugin takes the library to be from; the library needs none
NDK = 27

_PREFAB = f"prefab/modules/{MODULE}"
_NATIVE, _LINKED = f"jni/{ABI}/{LIBRARY}", f"{_PREFAB}/libs/android.{ABI}/{LIBRARY}"
_MANIFEST, _CLASSES = "AndroidManifest.xml", "classes.jar"
_ANDROID = "http://schemas.android.com/apk/res/android"
#: zip has no time before this
_TIME = (1980, 1, 1, 0, 0, 0)
_MOST_TEXT = 1 << 20


class ArchiveError(FleetposeError):
    """An archive is damaged, or not what an app needs."""

    exit_status = 1


def opencl_libraries() -> list[str]:
    """Names of the libraries that phones have OpenCL in, in the order in which the runtime looks for them."""
    text = (SOURCES / "opencl" / "library_paths.h").read_text(encoding="utf-8")
    names = re.findall(r'X\("(?:[^"]*/)?" ?(?:FLEETPOSE_LIB_FOLDER "/)?(?:[\w-]+/)?([\w-]+\.so)"\)', text)
    return list(dict.fromkeys(names))


def archive_bytes(library: bytes) -> bytes:
    """An archive around the library of an app: a shared object for `HOST`."""
    return _zip({**_texts(), _CLASSES: _zip({"META-INF/MANIFEST.MF": b"Manifest-Version: 1.0\r\n\r\n"}),
                 _NATIVE: library, _LINKED: library})  # fmt: skip


def check_archive(path: Path) -> ElfReport:
    """Read an archive back: its entries, what its library is for, its manifest and what describes the library.

    Raises:
        ArchiveError: the text names what is wrong.
    """
    try:
        content = read_whole(path)
        entries = _read_entries(content)
    except OSError as error:
        raise ArchiveError(f"cannot read {path}: {error.strerror}") from error
    except DAMAGE as error:
        raise ArchiveError(f"{path} is no archive, or damaged ({plain(str(error))})") from error
    wrong = _wrong_entries(entries)
    if not wrong:
        wrong = [*_wrong_manifest(entries[_MANIFEST]), *_wrong_texts(entries)]
    if wrong:
        raise ArchiveError(f"{path} cannot be used by an app: {'; '.join(wrong)}")
    report = _check_library(entries[_NATIVE], path)
    if _zip(entries) != content:
        raise ArchiveError(f"{path} is damaged: what surrounds its entries is not as it was written")
    return report


def _texts() -> dict[str, bytes]:
    """Everything but the classes and the library."""
    libraries = "".join(
        f'        <uses-native-library android:name="{name}" android:required="false" />\n'
        for name in opencl_libraries()
    )
    manifest = (
        '<?xml version="1.0" encoding="utf-8"?>\n'
        f'<manifest xmlns:android="{_ANDROID}" package="org.fleetpose.{MODULE}">\n'
        f'    <uses-sdk android:minSdkVersion="{LEAST_API}" />\n'
        f"    <application>\n{libraries}    </application>\n"
        "</manifest>\n"
    )
    described: dict[str, dict[str, Any]] = {
        "prefab/prefab.json": {"schema_version": 2, "name": MODULE, "dependencies": []},
        f"{_PREFAB}/module.json": {"export_libraries": [], "library_name": f"lib{MODULE}", "android": {}},
        f"{_PREFAB}/libs/android.{ABI}/abi.json": {
            "abi": ABI, "api": LEAST_API, "ndk": NDK, "stl": "none", "static": False,
        },
    }  # fmt: skip
    return {
        _MANIFEST: manifest.encode(),
        "R.txt": b"",
        **{name: (json.dumps(content, indent=2) + "\n").encode() for name, content in described.items()},
        f"{_PREFAB}/include/{HEADER}": (INCLUDE / HEADER).read_bytes(),
    }


def _zip(entries: Mapping[str, bytes]) -> bytes:
    """A zip file with entries in order of their names, stored as they are: weights do not become smaller."""
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        for name, content in sorted(entries.items()):
            entry = zipfile.ZipInfo(name, _TIME)
            entry.external_attr = 0o100644 << 16
            entry.create_system = 3  # Unix, whatever this machine is
            archive.writestr(entry, content)
    return written.getvalue()


def _read_entries(content: bytes) -> dict[str, bytes]:
    """The entries by name, each as long and with the checksum that it says. Raises ValueError, or what zipfile does."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entries = archive.infolist()
        names = [entry.filename for entry in entries]
        if len(set(names)) != len(names):
            raise ValueError("an entry is there twice")
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
            raise ValueError("an entry is compressed")
        if sum(entry.file_size for entry in entries) > len(content):
            raise ValueError("its entries are longer than the file")
        return {entry.filename: archive.read(entry) for entry in entries}


def _wrong_entries(entries: Mapping[str, bytes]) -> list[str]:
    wanted = {*_texts(), _CLASSES, _NATIVE, _LINKED}
    wrong = [f"it has no {name}" for name in sorted(wanted - entries.keys())]
    return wrong + [f"nobody asks for {plain(name)}" for name in sorted(entries.keys() - wanted)]


def _wrong_manifest(content: bytes) -> list[str]:
    if len(content) > _MOST_TEXT or b"<!" in content:
        return [f"{_MANIFEST} is no manifest"]
    try:
        root = ElementTree.fromstring(content.decode())
    except (ElementTree.ParseError, ValueError) as error:
        return [f"{_MANIFEST} is not XML ({plain(str(error))})"]
    if root.tag != "manifest" or not root.get("package"):
        return [f"{_MANIFEST} names no package"]
    named = {
        library.get(f"{{{_ANDROID}}}name"): library.get(f"{{{_ANDROID}}}required")
        for library in root.iterfind("application/uses-native-library")
    }
    wrong = [f"its manifest does not name {name}" for name in opencl_libraries() if name not in named]
    wrong += [f"its manifest requires {plain(str(name))}" for name, required in named.items() if required != "false"]
    least = root.find("uses-sdk")
    if least is None or least.get(f"{{{_ANDROID}}}minSdkVersion") != str(LEAST_API):
        wrong.append(f"its manifest is not for Android's API {LEAST_API} and later")
    return wrong


def _wrong_texts(entries: Mapping[str, bytes]) -> list[str]:
    """What differs from what is written; the manifest is read for what it says, since tools may write it anew."""
    wrong = [f"{name} is not as it was written" for name, content in _texts().items()
             if name != _MANIFEST and entries[name] != content]  # fmt: skip
    try:
        with zipfile.ZipFile(io.BytesIO(entries[_CLASSES])) as classes:
            damaged = classes.testzip()
    except DAMAGE as error:
        damaged = plain(str(error))
    if damaged is not None:
        wrong.append(f"{_CLASSES} is damaged ({damaged})")
    if entries[_NATIVE] != entries[_LINKED]:
        wrong.append("the library that is linked is not the one that is shipped")
    return wrong


def _check_library(content: bytes, path: Path) -> ElfReport:
    with WorkFolder() as folder:
        (folder / LIBRARY).write_bytes(content)
        try:
            return check_library(folder / LIBRARY, HOST)
        except ElfError as error:
            text = str(error).replace(str(folder / LIBRARY), f"{path}: {_NATIVE}")
            raise ArchiveError(text) from error
