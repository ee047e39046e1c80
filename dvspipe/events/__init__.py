"""Events: what a DVS camera sends. Columns and filters over them; no files, no frames."""

from dvspipe.events.columns import Events

__all__ = ["Events"]
