"""Audit: what is missing of the stored data, found by pure functions and kept as gaps."""
