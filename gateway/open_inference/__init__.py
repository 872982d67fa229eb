"""What the Open Inference Protocol says of servers and models, as plain data: for its REST and its gRPC alike."""
