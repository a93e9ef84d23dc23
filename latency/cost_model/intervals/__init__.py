"""How far predictions may be off, by their errors on what was held out: of one time, and of the ratio of two."""
