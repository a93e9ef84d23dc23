"""What compilers for phone GPUs make of our kernels, without a phone: registers, waves, spills, instructions.

The compilers are Mesa's own for Mali (Panfrost) and Adreno (Freedreno), which build OpenCL kernels for a GPU that is
not there. They are Debian packages, unpacked into a folder of their own (`packages`); nothing else here needs them.
"""
