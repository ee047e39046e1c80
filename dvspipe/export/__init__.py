"""Trained networks for other programs and chips: safetensors, NIR, ONNX, each with a model card."""
