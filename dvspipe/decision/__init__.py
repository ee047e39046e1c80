"""Decisions: from output spikes to a class, per clip or bin by bin."""
