"""Metrics: accuracy, spikes, energy and latency, each with its definition stated."""
