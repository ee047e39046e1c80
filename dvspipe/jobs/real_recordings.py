"""Where other people's recordings lie on this machine, if anywhere: they are no part of this repository."""

from __future__ import annotations

import os
from pathlib import Path


def recordings_folder() -> Path:
    """$DVSPIPE_RECORDINGS_DIR, or shared/recordings beside the checkout; it need not exist."""
    named = os.environ.get("DVSPIPE_RECORDINGS_DIR")
    return Path(named) if named else Path(__file__).parents[3] / "shared" / "recordings"
