"""The DVS pixel: light over time -> events."""
