"""The file formats, one module each; `opening.py` finds them by listing this folder."""
