"""The stored types, the store protocols and their implementations."""
