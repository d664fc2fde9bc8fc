"""The fleet actor: several replicas are one service, each part of which runs in one of them."""
