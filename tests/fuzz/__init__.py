"""Damaged and malicious files, made of whole ones by seeded mutations, and what every reader does with them."""
