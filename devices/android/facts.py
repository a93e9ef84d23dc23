"""What a phone says of itself by adb alone, without root and before anything of ours runs there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from devices.adb.phone import AdbPhone
from devices.adb.wire import plain_line
from fleetpose.errors import UsageError

#: the first Android whose C library has all that the agent calls
LEAST_SDK = 24
PROCESSOR = "arm64-v8a"
#: what the agent is built for, as codegen.linking.hosts and runtime.agent have it
TARGET_HOST = "android-arm64"
#: where phones keep OpenCL, in the order in which the agent looks: those of runtime/src/opencl/library_paths.h
OPENCL_PLACES = (
    "/vendor/lib64/libOpenCL.so", "/system/vendor/lib64/libOpenCL.so", "/system/lib64/libOpenCL.so",
    "/vendor/lib64/egl/libGLES_mali.so", "/system/vendor/lib64/egl/libGLES_mali.so",
    "/vendor/lib64/libOpenCL-pixel.so", "/vendor/lib64/libPVROCL.so", "/vendor/lib64/libOpenCL-car.so",
)  # fmt: skip
_PROPERTY = re.compile(r"^\[([^\]]+)\]: \[(.*)\]$", re.MULTILINE)
_GLES = re.compile(r"GLES:\s*(.+)")


@dataclass(frozen=True)
class PhoneFacts:
    """What is known of a phone; "" or None where it does not say.

    Attributes:
        maker, model: as on the box.
        soc: the chip, by its maker's name or number.
        android, sdk: version for people, and for programs.
        processor: the ABI that it runs first, "arm64-v8a".
        gpu, driver: what OpenGL ES says: vendor and renderer, and the driver's version.
        opencl: the library of OpenCL that lies on the phone.
        battery_percent, battery_celsius: of the battery.
    """

    maker: str = ""
    model: str = ""
    soc: str = ""
    android: str = ""
    sdk: int | None = None
    processor: str = ""
    gpu: str = ""
    driver: str = ""
    opencl: str = ""
    battery_percent: int | None = None
    battery_celsius: float | None = None

    def lines(self) -> list[str]:
        """What people want to read of it, a line each."""
        battery = "" if self.battery_percent is None else f"{self.battery_percent} %"
        if self.battery_celsius is not None:
            battery += f", {self.battery_celsius:g} °C"
        android = f"{self.android} (API {self.sdk})" if self.android and self.sdk else self.android
        rows = {"phone": f"{self.maker} {self.model}".strip(), "chip": self.soc, "Android": android,
                "processor": self.processor, "GPU": self.gpu, "driver": self.driver,
                "OpenCL": self.opencl, "battery": battery}  # fmt: skip
        return [f"{name:10}{value or 'it does not say'}" for name, value in rows.items()]


def read_facts(phone: AdbPhone) -> PhoneFacts:
    """Ask a phone, by its shell. Raises DeviceUnreachable where it goes away."""
    properties = dict(_PROPERTY.findall(phone.shell("getprop").output.replace("\r", "")))
    graphics = phone.shell("dumpsys SurfaceFlinger 2>/dev/null | grep -m 1 GLES:").output
    battery = _pairs(phone.shell("dumpsys battery 2>/dev/null").output)
    listed = phone.shell(f"ls {' '.join(OPENCL_PLACES)} 2>/dev/null").output.split()
    libraries = [path for path in OPENCL_PLACES if path in listed]
    return facts_of(properties, graphics, battery, libraries)


def facts_of(
    properties: Mapping[str, str], graphics: str, battery: Mapping[str, str], libraries: list[str]
) -> PhoneFacts:
    """The facts in what a phone answers.

    Args:
        properties: of getprop.
        graphics: the line of SurfaceFlinger's that names OpenGL ES: "GLES: Qualcomm, Adreno (TM) 730, OpenGL ES 3.2
            V@0615.0 (...)".
        battery: of the battery's service: level in percent, temperature in tenths of a degree.
        libraries: those of OPENCL_PLACES that are there.
    """
    gles = _GLES.search(graphics)
    parts = [part.strip() for part in gles[1].split(",", 2)] if gles else []
    level, tenths = battery.get("level", ""), battery.get("temperature", "")
    sdk = properties.get("ro.build.version.sdk", "")
    return PhoneFacts(
        maker=plain_line(properties.get("ro.product.manufacturer", "")),
        model=plain_line(properties.get("ro.product.model", "")),
        soc=_soc(properties),
        android=plain_line(properties.get("ro.build.version.release", "")),
        sdk=int(sdk) if sdk.isdigit() else None,
        processor=plain_line(properties.get("ro.product.cpu.abi", "")),
        gpu=plain_line(", ".join(parts[:2])),
        driver=plain_line(parts[2]) if len(parts) > 2 else "",
        opencl=libraries[0] if libraries else "",
        battery_percent=int(level) if level.isdigit() else None,
        battery_celsius=int(tenths) / 10 if tenths.lstrip("-").isdigit() else None,
    )


def check_suits(facts: PhoneFacts, name: str) -> None:
    """Refuse a phone that the agent cannot run on, where it says so. Raises UsageError."""
    if facts.processor and facts.processor != PROCESSOR:
        raise UsageError(
            f"{name} runs {facts.processor}, and the agent is built for {PROCESSOR}; --agent FILE takes another"
        )
    if facts.sdk is not None and facts.sdk < LEAST_SDK:
        raise UsageError(
            f"{name} has Android {facts.android} (API {facts.sdk}); the agent needs API {LEAST_SDK}, Android 7"
        )


def key_of(facts: PhoneFacts, serial: str) -> str:
    """A tracker's key for a phone: its model in small letters, "pixel-8"; phones of a kind share it."""
    words = re.findall(r"[a-z0-9]+", facts.model.lower()) or re.findall(r"[a-z0-9]+", serial.lower())
    return "-".join(words)[:40] or "phone"


def _soc(properties: Mapping[str, str]) -> str:
    """The chip: since Android 12 by two properties of its own, before by what makers put elsewhere."""
    maker, model = (properties.get(f"ro.soc.{part}", "") for part in ("manufacturer", "model"))
    if model and model != "unknown":
        return plain_line(f"{maker} {model}")
    for name in ("ro.board.platform", "ro.hardware.chipname", "ro.hardware"):
        if value := properties.get(name):
            return plain_line(value)
    return ""


def _pairs(text: str) -> dict[str, str]:
    """The lines "  name: value" of a service's report."""
    pairs = (line.partition(":") for line in text.splitlines())
    return {name.strip(): value.strip() for name, colon, value in pairs if colon}
