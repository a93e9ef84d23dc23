"""What the network is: layers, graphs, networks, weights, training, pose. Does not know devices or code generation."""
