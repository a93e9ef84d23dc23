"""From a layer or a whole network to compiled code for a target."""
