"""From a ForeignCall to TVM's own kernels: translated from torch, legalised, scheduled by TVM's defaults.

The last step, `merge`, makes one function of a Relax function that calls several: a layer's kernel is one function.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tvm
from tvm import relax
from tvm.relax.expr_functor import PyExprMutator, mutator
from tvm.s_tir import dlight

from fleetpose.errors import first_line
from models.graph.foreign.call import ForeignCall

#: the name of the Relax function that is translated, or merged
WHOLE = "main"
#: torch's numbers of ways to sample
SAMPLING_MODES, SAMPLING_PADDINGS = ("bilinear", "nearest", "bicubic"), ("zeros", "border", "reflection")


@dataclass(frozen=True)
class ForeignKernels:
    """What TVM made of a call.

    Attributes:
        func: a scheduled function of the dense operands, then `constants`, then the dense result.
        constants: what the translation made tables of.
    """

    func: tvm.tirx.PrimFunc
    constants: dict[str, np.ndarray] = field(default_factory=dict)


def foreign_kernels(call: ForeignCall, target: tvm.target.Target) -> ForeignKernels:
    """The kernels of a call. Raises LookupError where TVM cannot translate or schedule it."""
    try:
        module, constants = _lift_constants(_translate(call, target))
        with target:
            merged = tvm.IRModule({WHOLE: merge(module)})
            scheduled = dlight.ApplyDefaultSchedule(dlight.gpu.Fallback())(merged)[WHOLE]
    except Exception as error:  # TVM raises whatever comes
        raise LookupError(f"TVM has no kernel for torch's {call.operator!r}: {first_line(error, 200)}") from error
    return ForeignKernels(scheduled, constants)


def _translate(call: ForeignCall, target: tvm.target.Target) -> tvm.IRModule:
    """The call as a Relax module whose `main` takes the dense operands; every operator is a TIR function."""
    import torch
    from tvm.relax.frontend.torch import from_exported_program

    from models.graph.foreign.reference import call_operator

    class OneOperator(torch.nn.Module):
        def forward(self, *operands):
            return call_operator(call, operands).to(torch.float32)

    examples = tuple(torch.zeros(operand.sizes) for operand in call.operands)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.export.export(OneOperator(), examples, strict=False)
        module = from_exported_program(program, unwrap_unit_return_tuple=True, custom_convert_map=MENDED)
    with target:
        return relax.transform.LegalizeOps()(relax.transform.DecomposeOpsForInference()(module))


@mutator
class _ConstantLifter(PyExprMutator):
    """Puts a variable in place of each constant tensor that is an argument of a call."""

    def __init__(self, module: tvm.IRModule) -> None:
        super().__init__(module)
        self.lifted: dict[relax.Var, np.ndarray] = {}

    def visit_generic_const_(self, constant: Any) -> relax.Var:
        variable = relax.Var(f"table{len(self.lifted)}", constant.ty)
        self.lifted[variable] = constant.value.numpy()
        return variable


def _lift_constants(module: tvm.IRModule) -> tuple[tvm.IRModule, dict[str, np.ndarray]]:
    """The module with its constants as further parameters of `main`, and their values by these parameters' names."""
    lifter = _ConstantLifter(module)
    main = module[WHOLE]
    body = lifter.visit_expr(main.body)
    if not lifter.lifted:
        return module, {}
    function = relax.Function([*main.params, *lifter.lifted], body, main.ret_ty, main.is_pure, main.attrs)
    others = [(variable, other) for variable, other in module.functions_items() if variable.name_hint != WHOLE]
    builder = relax.BlockBuilder(tvm.IRModule(dict(others)))
    builder.add_func(function, WHOLE)
    return builder.get(), {variable.name: value for variable, value in lifter.lifted.items()}


def _sample(node: Any, importer: Any) -> relax.Expr:
    """Sampling, whose grid is (N, H, W, 2) in torch and (N, 2, H, W) in TVM: the translator takes the one for the
    other."""
    x, grid, mode, padding, align_corners = importer.retrieve_args(node)
    turned = importer.block_builder.emit(relax.op.permute_dims(grid, [0, 3, 1, 2]))
    settings = {"method": SAMPLING_MODES[mode], "padding_mode": SAMPLING_PADDINGS[padding]}
    return importer.block_builder.emit(
        relax.op.image.grid_sample(x, turned, layout="NCHW", align_corners=align_corners, **settings)
    )


#: what the translator reads wrong, as it should
MENDED = {"grid_sampler_2d.default": _sample}


def merge(module: tvm.IRModule) -> tvm.tirx.PrimFunc:
    """The function that does what the module's `main` does by calling others: their bodies, one after the other."""
    function = module[WHOLE]
    marked = tvm.IRModule(dict(module.functions_items()))
    marked[marked.get_global_var(WHOLE)] = function.with_attr("Primitive", 1).without_attr("global_symbol")
    builder = relax.BlockBuilder(marked)
    parameters = [relax.Var(parameter.name, parameter.ty) for parameter in function.params]
    with builder.function("caller", parameters):
        with builder.dataflow():
            result = builder.emit_output(relax.Call(builder.get().get_global_var(WHOLE), parameters))
        builder.emit_func_output(result)
    return relax.transform.FuseTIR()(builder.get())[WHOLE].without_attr("tirx.noalias")
