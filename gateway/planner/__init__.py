"""What a number of hosts would do with a load: a log replayed through the ring and the choices that gateways make."""
