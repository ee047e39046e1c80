"""Recordings: files of events, one file per format, read as constant-memory streams."""

from dvspipe.recordings.opening import open_recording
from dvspipe.recordings.recording import Damage, Format, Recording

__all__ = ["Damage", "Format", "Recording", "open_recording"]
