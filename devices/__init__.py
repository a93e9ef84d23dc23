"""What can run kernels: profiles, sessions over RPC, measuring. Does not know networks or code generation."""

from devices.info import DeviceInfo
from devices.opening import open_device
from devices.profile import Profile, load_profile
from devices.session import Session

__all__ = ["DeviceInfo", "Profile", "Session", "load_profile", "open_device"]
