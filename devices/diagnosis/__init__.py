"""The checks behind `devices.doctor`: what works on this machine, what is missing, what mends it."""
