"""How good a predictor is on held-out data, beside what a user could do otherwise."""
