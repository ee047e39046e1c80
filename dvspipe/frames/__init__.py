"""Frames: one binning rule for whole recordings and for streams, and batching. No files, no labels, no networks."""

from dvspipe.frames.batching import batch, collate
from dvspipe.frames.binning import Binner, BinReport
from dvspipe.frames.whole import to_frames

__all__ = ["BinReport", "Binner", "batch", "collate", "to_frames"]
