"""Writers, one module per format; `writing.py` finds them by listing this folder."""
