"""torch operators that slide windows over a map, as drafts: transposed convolutions, pools, resizes, pads."""
