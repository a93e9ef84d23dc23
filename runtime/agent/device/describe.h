/* What the device says of itself: as JSON, and one by one as TVM asks for it. */
#ifndef FLEETPOSE_AGENT_DEVICE_DESCRIBE_H
#define FLEETPOSE_AGENT_DEVICE_DESCRIBE_H

#include "agent/device/gpu.h"

/* The list of devices, which is of one: as fleetpose.opencl.devices of devices/runtime answers it, and what drafts of
 * profiles need besides (the cache, the limits of images), and "loads": what a session loads here. */
void agent_describe_devices(const agent_gpu* gpu, agent_bytes* json);
void agent_describe_cache(const agent_gpu* gpu, agent_bytes* json);

/* An attribute of TVM's DeviceAttrKind: 1 and `number`, 2 and `text`, or 0 for one that nobody knows. */
int agent_describe_attribute(const agent_gpu* gpu, int64_t kind, long long* number, char text[128]);

#endif
