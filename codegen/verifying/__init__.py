"""An artifact beside its network in float64: outputs, people, and what differences rounding explains."""
