"""From output maps to people: part affinity fields, associative embedding, keypoint regression."""
