"""Encoders: a still image becomes T steps, of spikes or of real numbers, for the networks of `snn`."""
