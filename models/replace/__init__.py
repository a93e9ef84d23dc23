"""Operators a phone runs badly, replaced by ones it runs well, with an account of what each replacement changes.

    advice = advise(network, (3, 368, 368))       # what could be replaced, what for, what it gains; changes nothing
    better = replace_operators(network, planned(advice))

Four kinds: smooth activations (SiLU, ELU, GELU, hard-swish, ...) become ReLU, ReLU6 or hard-tanh; a k x k convolution
becomes a chain of 3x3 ones; so does a dilated one; squeeze-excite gates go. The result is an nn.Module to train.

values (the plan), program (what a network runs), field, cost, gates, sites (what may be replaced), chain, rewrite,
apply, advice, files, report; `python -m models.replace` is `__main__`. Latency enters as a plain function; this
package knows no device.
"""

from models.replace.advice import advise, compare, plan_of
from models.replace.apply import replace_operators
from models.replace.files import read_plan, replaced_spec, save_replaced
from models.replace.gates import fold_mean_gates
from models.replace.values import ACTIVATIONS, KINDS, Advice, OperatorCost, Replacement

__all__ = [
    "ACTIVATIONS",
    "KINDS",
    "Advice",
    "OperatorCost",
    "Replacement",
    "advise",
    "compare",
    "fold_mean_gates",
    "plan_of",
    "read_plan",
    "replace_operators",
    "replaced_spec",
    "save_replaced",
]
