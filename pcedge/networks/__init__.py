"""The networks in PyTorch: backbones, patch embeddings, training.

Outside of a folder of this name nothing needs PyTorch to be imported.
"""
