"""Traces, metrics and logs for an OpenTelemetry collector: the only folder that imports OpenTelemetry.

Each actor's process has its own exporters, made after the fork, since they are threads. Where no collector is named
nothing here is imported but `target`.
"""
