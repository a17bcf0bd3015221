"""The network as ONNX, in other precisions, and as TensorRT engines."""
