"""How formats lie in their bytes: decoders, compiled loops and headers, for `formats/` and `writers/`. Knows no recording."""
