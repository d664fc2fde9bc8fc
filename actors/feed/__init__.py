"""The live feed: the exchange's own streams, published where every other publisher's events go."""
