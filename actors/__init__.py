"""The actors, each beside the pure domain logic it owns."""
