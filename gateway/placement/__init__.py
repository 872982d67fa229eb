"""Which gateway a request goes to, where several answer: its key, and the ring that a proxy puts keys on."""
