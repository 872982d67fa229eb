"""What the gateway is made of: which packages, with which known faults, and what of them the sources may use."""
