"""Data: dataset folders -> archives -> clips for training. tonic lives here and nowhere else.

Import the modules themselves (`dvspipe.data.prepare`, `dvspipe.data.clips`, ...): preparing a dataset needs no torch.
"""
