"""The Open Inference Protocol over gRPC: another door to the same core."""
