"""Static images: folders people have -> an index -> images and labels -> batches. torchvision lives here.

Knows nothing about encoders or networks. Indexing a set needs no torch.
"""
