"""Petrosa Data Manager: complete, checkable market data for crypto futures."""

__version__ = "2.0.0"
