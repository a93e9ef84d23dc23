"""People drawn on photographs."""
