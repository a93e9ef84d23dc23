"""What training is taught: losses, a teacher's maps, hints from its features."""
