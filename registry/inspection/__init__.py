"""From an ONNX file to what the registry remembers of it, found out in a child process with limits."""
