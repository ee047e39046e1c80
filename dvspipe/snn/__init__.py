"""Spiking networks: neurons with Norse's dynamics, attention, layers, networks. Takes plain values, no recipes."""
