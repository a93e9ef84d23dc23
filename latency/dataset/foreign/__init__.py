"""Measurements that other tools wrote, as samples: each format has a module, found by a file's content."""
