"""Petrosa Data Manager: complete, checkable market data for crypto futures."""

from data_manager.system.light_nats import hide_aiohttp

__version__ = "2.0.0"

hide_aiohttp()  # before anything can import nats
