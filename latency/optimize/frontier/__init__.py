"""Several plans of one network, by one collection and one sensitivity, compared in one run: speed against accuracy."""
