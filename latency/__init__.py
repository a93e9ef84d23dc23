"""What a layer costs on a device and what to choose: collection, the latency model, decisions."""
