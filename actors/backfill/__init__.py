"""Backfill: what is missing is fetched from the exchange, page by page, under its limits."""
