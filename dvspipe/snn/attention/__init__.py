"""Attention, chosen by plain words: `build_attention(variant, placement, ...)`."""

from dvspipe.snn.attention.choice import build_attention as build_attention
