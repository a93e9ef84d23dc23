"""The latency model: features, physical terms, boosted trees, intervals, and the predictor's file."""
