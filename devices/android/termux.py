"""A phone without a cable: one script for Termux, which has the agent in it and offers the phone over Wi-Fi."""

from __future__ import annotations

import base64
import shlex

from devices.rpc.tracker import Address

_LINE = 76
_TEMPLATE = """\
#!/data/data/com.termux/files/usr/bin/sh
# fleetpose's agent for Android on arm64, and what starts it in Termux: offers this phone as {key} at {tracker}.
# Whoever reaches the port can run code here: only in a network that you trust. Ctrl-C ends it.
set -e
folder="${{HOME:-/data/local/tmp}}/fleetpose"
mkdir -p "$folder/work"
base64 -d > "$folder/fleetpose-agent" <<'AGENT'
{content}AGENT
chmod 755 "$folder/fleetpose-agent"
# keeps Android from stopping Termux, where Termux:API's companion is there
command -v termux-wake-lock > /dev/null && termux-wake-lock || true
# where phones keep OpenCL; Termux's own libraries would hide the system's
export LD_LIBRARY_PATH=/vendor/lib64:/system/vendor/lib64
export FLEETPOSE_CACHE_DIR="$folder/cache"
exec "$folder/fleetpose-agent" --tracker {tracker} --key {key} --host 0.0.0.0 --folder "$folder/work"
"""


def termux_script(agent: bytes, tracker: Address, key: str) -> str:
    """The script's text.

    Args:
        agent: the executable.
        tracker: as the phone reaches it over the network.
        key: to offer the phone under.
    """
    coded = base64.b64encode(agent).decode()
    lines = [coded[start : start + _LINE] for start in range(0, len(coded), _LINE)]
    content = "".join(f"{line}\n" for line in lines)
    return _TEMPLATE.format(content=content, tracker=shlex.quote(str(tracker)), key=shlex.quote(key))
