"""What an artifact is built for and from, and the building itself."""
