"""One symbol's ingest: decode, store, derive candles, acknowledge."""
