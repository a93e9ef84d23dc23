"""Families: sparsities that differ in their zeros only, written as a sparsity without them, such as "columns:4x1"."""

from __future__ import annotations

from fleetpose.errors import UsageError, quoted
from models.plans.sparsity import Sparsity


def parse_family(text: str) -> Sparsity:
    """Any member of the family. Raises UsageError, with "did you mean", for what is none."""
    name, *block = text.strip().split(":")
    try:
        return Sparsity.parse(":".join([name, "0.75", *block]))
    except UsageError as error:
        raise UsageError(
            f"{quoted(text)} is no family of sparsities, such as columns:4x1 or pattern: {error}"
        ) from error


def family_text(sparsity: Sparsity) -> str:
    """The inverse of `parse_family`, for any member."""
    name, _, *block = str(sparsity).split(":")
    return ":".join([name, *block])
