"""What can run kernels: profiles, sessions over RPC, measuring. Does not know networks or code generation."""

from devices.info import DeviceInfo
from devices.profile import Profile, load_profile
from devices.session import Session, open_device

__all__ = ["DeviceInfo", "Profile", "Session", "load_profile", "open_device"]
