"""What makes any actor run: messages, policy, bases, NATS, settings and life cycle."""
