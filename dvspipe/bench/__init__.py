"""Measured comparisons with other libraries: one file per table, equal work checked before time is taken."""
