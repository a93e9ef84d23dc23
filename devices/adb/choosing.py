"""Which of the phones at adb's server are meant."""

from __future__ import annotations

from collections.abc import Sequence

from devices.adb.server import AdbServer, AttachedPhone, state_text
from fleetpose.errors import DeviceUnreachable, UsageError

#: in place of serials: every phone that is ready
ALL = "all"


def choose_phones(server: AdbServer, serials: Sequence[str]) -> list[str]:
    """The serials of the phones that are meant, each ready.

    Args:
        serials: as given; none: the only phone that is ready; "all": every one that is.

    Raises:
        UsageError: several are ready and none is named. DeviceUnreachable: none is there, or one that is named is not,
            or it cannot be used; the text says why and what mends it.
    """
    attached = server.phones()
    if not attached:
        raise DeviceUnreachable(
            f"no phone at adb's server {server}; plug one in, switch USB debugging on there (developer options), and "
            f"look: adb devices"
        )
    if serials and list(serials) != [ALL]:
        return [_named(attached, serial) for serial in dict.fromkeys(serials)]
    ready = [phone.serial for phone in attached if phone.ready]
    if not ready:
        states = "; ".join(f"phone {phone.serial}: {state_text(phone.state)}" for phone in attached)
        raise DeviceUnreachable(states)
    if len(ready) > 1 and not serials:
        named = " ".join(f"--serial {serial}" for serial in ready)
        raise UsageError(f"{len(ready)} phones are ready; say which: {named}, or --serial {ALL}")
    return ready


def _named(attached: Sequence[AttachedPhone], serial: str) -> str:
    for phone in attached:
        if phone.serial == serial:
            if not phone.ready:
                raise DeviceUnreachable(f"phone {serial}: {state_text(phone.state)}")
            return serial
    there = ", ".join(phone.serial for phone in attached)
    raise DeviceUnreachable(f"no phone {serial} at adb's server (there: {there}); look at the cable")
