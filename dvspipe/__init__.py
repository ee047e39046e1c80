"""dvspipe: from a DVS camera's events to a decision.

`open_recording(path)` streams events, `to_frames(...)` bins them, `load_run(folder)` gives a trained network. Everything is
imported on first use, so that `import dvspipe` costs nothing.
"""

from importlib import import_module
from importlib.metadata import version
from typing import Any

__version__ = version("dvspipe")
__all__ = ["Events", "__version__", "load_run", "open_recording", "to_frames"]

_HOMES = {
    "Events": "dvspipe.events",
    "load_run": "dvspipe.jobs.runs",
    "open_recording": "dvspipe.recordings",
    "to_frames": "dvspipe.frames",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'dvspipe' has no attribute '{name}'; it has {', '.join(__all__)}")
    return getattr(import_module(_HOMES[name]), name)
