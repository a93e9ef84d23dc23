"""A built network at work: its manifest, loading it, people from photographs and video. Knows no compiler."""
