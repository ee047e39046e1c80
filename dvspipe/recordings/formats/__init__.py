"""The file formats, one module each. `opening.py` finds them by listing this folder: adding a format is adding a file."""
