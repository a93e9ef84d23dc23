"""Networks by name: specs, the catalogue, networks from outside, weights, the paper's facts, counting."""
