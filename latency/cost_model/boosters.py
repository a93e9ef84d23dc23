"""xgboost's JSON of a trained model, checked and written anew, so that its C++ reads only what cannot lead it astray.

xgboost follows the children and columns that a file names without asking whether they exist. Here each tree is walked
from its root, every number is looked at, and a document is made of what was found: nothing else reaches xgboost.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fleetpose.codec import check_entries, decode
from fleetpose.errors import DataError, quoted

OBJECTIVE = "reg:pseudohubererror"
#: more than is ever trained
MOST_TREES, MOST_NODES, MOST_LEVELS = 100_000, 1 << 20, 64
FLOAT32_MAX = float(np.finfo(np.float32).max)
#: a root's parent in xgboost's JSON
NO_NODE = 2**31 - 1
NODE_ARRAYS = ("left_children", "right_children", "split_indices", "split_conditions", "default_left")
NO_CATEGORIES: dict[str, list[int]] = {"enc": [], "feature_segments": [], "sorted_idx": []}


def checked_booster(value: Any, columns: int) -> dict[str, Any]:
    """The document to give to xgboost in the place of `value`, which it predicts the same as.

    Args:
        value: what a file has as xgboost's JSON of a model.
        columns: of the matrix that it will be asked about.

    Raises:
        DataError: it is no model of Trees.fit, or one that would read what is not there.
    """
    learner = _part(value, "learner")
    model = _part(_part(learner, "gradient_booster"), "model")
    trees = decode(list[dict[str, Any]], model.get("trees"), "trees")
    if not 0 < len(trees) <= MOST_TREES:
        raise DataError(f"a model has 1 to {MOST_TREES} trees, not {len(trees)}")
    document = {
        "gradient_booster": {
            "model": {
                "gbtree_model_param": {"num_parallel_tree": "1", "num_trees": str(len(trees))},
                "iteration_indptr": list(range(len(trees) + 1)),
                "tree_info": [0] * len(trees),
                "trees": [_tree(tree, number, columns) for number, tree in enumerate(trees)],
                **({"cats": NO_CATEGORIES} if "cats" in model else {}),
            },
            "name": "gbtree",
        },
        "learner_model_param": _parameters(_part(learner, "learner_model_param"), columns),
        "objective": _objective(_part(learner, "objective")),
    }
    version = decode(tuple[int, int, int], _part(value).get("version"), "version")
    if not all(0 <= number < 1000 for number in version):
        raise DataError(f"its version is {quoted(version)}")
    learner = {"attributes": {}, "feature_names": [], "feature_types": [], **document}
    return {"learner": learner, "version": list(version)}


def booster_documents(values: Any, columns: int) -> Sequence[dict[str, Any]]:
    """`checked_booster` of each model that a predictor's file has."""
    models = decode(list[dict[str, Any]], values, "trees")
    if not models:
        raise DataError("trees: there is no model")
    return [checked_booster(model, columns) for model in models]


def _part(value: Any, name: str = "") -> dict[str, Any]:
    """An object, or one that an object has under a name."""
    content = decode(dict[str, Any], value, "the model")
    return decode(dict[str, Any], content.get(name), name) if name else content


def _parameters(values: Mapping[str, Any], columns: int) -> dict[str, str]:
    kinds = dict.fromkeys(("base_score", "num_feature"), str)
    given = check_entries(values, kinds, "learner_model_param", needed=tuple(kinds))
    if given["num_feature"] != str(columns):
        raise DataError(f"its trees are of {quoted(given['num_feature'])} columns, not {columns}")
    score = given["base_score"]  # "0E0", since xgboost 3.1 "[0E0]"
    listed = score.startswith("[") and score.endswith("]")
    number = _number_text(score[1:-1] if listed else score, "base_score")
    return {
        "base_score": f"[{number}]" if listed else number,
        "boost_from_average": "0",
        "num_class": "0",
        "num_feature": str(columns),
        "num_target": "1",
    }


def _objective(values: Mapping[str, Any]) -> dict[str, Any]:
    if values.get("name") != OBJECTIVE:
        raise DataError(f"its objective is {quoted(values.get('name'))}, not {OBJECTIVE!r}")
    slope = _number_text(_part(values, "pseudo_huber_param").get("huber_slope"), "huber_slope")
    return {"name": OBJECTIVE, "pseudo_huber_param": {"huber_slope": slope}}


def _number_text(text: Any, name: str) -> str:
    """A number that is written as text, in the way xgboost writes it."""
    try:
        number = float(decode(str, text, name))
    except ValueError:
        number = math.nan
    if not abs(number) <= FLOAT32_MAX:
        raise DataError(f"{name} is {quoted(text)}, not a number")
    return f"{np.float32(number):.9E}"


def _tree(tree: Mapping[str, Any], number: int, columns: int) -> dict[str, Any]:
    """A tree with the nodes that are reached from its root, numbered level by level."""
    arrays = {name: _array(tree.get(name), f"tree {number}: {name}") for name in NODE_ARRAYS}
    sizes = {len(array) for array in arrays.values()}
    if len(sizes) != 1:
        raise DataError(f"tree {number}: the arrays of its nodes have different lengths")
    if tree.get("categories") or np.any(_array(tree.get("split_type", []), "split_type")):
        raise DataError(f"tree {number} splits by categories, as no tree of ours does")
    left, right = (arrays[name].astype(np.int64) for name in NODE_ARRAYS[:2])
    nodes, parents = _reached(left, right, f"tree {number}")
    index = arrays["split_indices"][nodes].astype(np.int64)
    inner = left[nodes] != -1
    if np.any(inner & ((index < 0) | (index >= columns))):
        raise DataError(f"tree {number} asks for a column that is not among the {columns}")
    renumbered = np.full(len(left) + 1, -1)  # the last entry is what -1 finds
    renumbered[nodes] = np.arange(len(nodes))
    zeros = [0.0] * len(nodes)
    return {
        **{name: [] for name in ("categories", "categories_nodes", "categories_segments", "categories_sizes")},
        **dict.fromkeys(("base_weights", "loss_changes", "sum_hessian"), zeros),
        "default_left": (arrays["default_left"][nodes] != 0).astype(int).tolist(),
        "id": number,
        "left_children": renumbered[left[nodes]].tolist(),
        "parents": [NO_NODE, *renumbered[parents[1:]].tolist()],
        "right_children": renumbered[right[nodes]].tolist(),
        "split_conditions": arrays["split_conditions"][nodes].tolist(),
        "split_indices": np.where(inner, index, 0).tolist(),
        "split_type": [0] * len(nodes),
        "tree_param": {
            "num_deleted": "0",
            "num_feature": str(columns),
            "num_nodes": str(len(nodes)),
            "size_leaf_vector": "1",
        },
    }


def _array(values: Any, where: str) -> np.ndarray:
    """A list of numbers that float32 holds, as float64."""
    if not isinstance(values, list) or len(values) > MOST_NODES or not set(map(type, values)) <= {int, float}:
        raise DataError(f"{where} is {quoted(values)}, not a list of numbers")
    array = np.array(values, np.float64)
    if array.size and not np.abs(array).max() <= FLOAT32_MAX:
        raise DataError(f"{where} has a number that no tree has")
    return array


def _reached(left: np.ndarray, right: np.ndarray, where: str) -> tuple[np.ndarray, np.ndarray]:
    """The nodes that are reached from node 0, level by level, each once, and the parent of each (of the root -1)."""
    if not len(left):
        raise DataError(f"{where} has no nodes")
    levels, parents = [np.zeros(1, np.int64)], [np.full(1, -1)]
    seen = np.zeros(len(left), bool)
    seen[0] = True
    while len(levels) <= MOST_LEVELS:
        level = levels[-1]
        if np.any((left[level] == -1) != (right[level] == -1)):
            raise DataError(f"{where} has a node with one child")
        inner = level[left[level] != -1]
        below = np.concatenate([left[inner], right[inner]])
        if not len(below):
            return np.concatenate(levels), np.concatenate(parents)
        if below.min() < 1 or below.max() >= len(left) or seen[below].any() or len(np.unique(below)) < len(below):
            raise DataError(f"{where} has a child that is no node of it, or is another's too")
        seen[below] = True
        levels.append(below)
        parents.append(np.concatenate([inner, inner]))
    raise DataError(f"{where} has more than {MOST_LEVELS} levels")
