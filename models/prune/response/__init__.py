"""What zeros do to a network's outputs: responses, the curves drawn from them, and their journal."""
