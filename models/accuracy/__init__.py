"""How well a network finds people: OKS average precision by Lightweight OpenPose's protocol."""
