"""What the layers and input sizes of a network share: kernels and packed constants that are equal are kept once."""

from __future__ import annotations

import hashlib

import numpy as np
import tvm
from tvm import relax
from tvm.relax import VDevice
from tvm.relax._ffi_api import MakeTensorConst
from tvm_ffi import StructuralKey

from codegen.kernels.workload import TEXTURE_SCOPE


class SharedCode:
    """The kernels and constants of one network.

    Args:
        builder: of the module that kernels become functions of.
        target: whose memory for images holds constants that are read as such.

    Attributes:
        packed: constants by the names they are kept under.
        textures: names of the constants that are images on the device.
    """

    def __init__(self, builder: relax.BlockBuilder, target: tvm.target.Target) -> None:
        self.builder = builder
        self.packed: dict[str, np.ndarray] = {}
        self.textures: set[str] = set()
        self._functions: dict[StructuralKey, relax.GlobalVar] = {}
        self._stored_as: dict[tuple, str] = {}
        self.texture_memory = VDevice(target, 0, TEXTURE_SCOPE)

    def share(self, label: str, func: tvm.ir.BaseFunc) -> relax.GlobalVar:
        """The module's function for a kernel: one for all that are structurally equal."""
        key = StructuralKey(func)
        if key not in self._functions:
            # only a second kernel of one label is numbered: names, and so cached programs, outlive other changes
            alike = sum(variable.name_hint.partition("__")[0] == label for variable in self._functions.values())
            name = f"{label}__{alike}" if alike else label
            self._functions[key] = self.builder.add_func(func.with_attr("global_symbol", name), name)
        return self._functions[key]

    def store(self, name: str, array: np.ndarray, is_image: bool = False) -> str:
        """Keep a packed constant, once for all kernels and input sizes that read it alike.

        Args:
            name: what to keep it under; others of the name that differ are numbered.
            is_image: whether it is an image on the device.

        Returns:
            The name it is kept under.
        """
        key = (name, is_image, array.shape, str(array.dtype), hashlib.sha256(array.tobytes()).digest())
        if key not in self._stored_as:
            others = sum(known[0] == name for known in self._stored_as)
            self._stored_as[key] = f"{name}.{others}" if others else name
            self.packed[self._stored_as[key]] = array
        if is_image:
            self.textures.add(self._stored_as[key])
        return self._stored_as[key]

    def constant(self, name: str, array: np.ndarray) -> relax.Expr:
        """A packed constant, to be placed in an image by the runtime where a kernel reads it as one."""
        memory = self.texture_memory if name in self.textures else None
        kind = relax.TensorType(array.shape, str(array.dtype), memory)
        return MakeTensorConst(tvm.runtime.tensor(array), kind, None)
