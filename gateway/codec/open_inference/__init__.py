"""Bodies of the Open Inference Protocol, version 2, over REST: JSON, its binary extension, and both mixed."""
