"""Market data in MongoDB: collections by symbol and kind of row, under the original's names."""

from data_manager.storage.mongo.store import MongoMarketStore

__all__ = ["MongoMarketStore"]
