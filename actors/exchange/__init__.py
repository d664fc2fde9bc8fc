"""A simulated Binance: a market that is a pure function of its seed, and the feed it publishes."""
