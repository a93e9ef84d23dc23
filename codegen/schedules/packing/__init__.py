"""Work-items that copy what they read of the input into memory of their own before they multiply."""
