"""Simulated people before a simulated camera: labelled recordings without a download."""
