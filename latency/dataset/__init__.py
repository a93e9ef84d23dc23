"""Records and public tables as samples to learn from, their hardware, their splits."""
