"""What training sees: photographs, annotations, augmented views, target maps."""
