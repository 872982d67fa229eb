"""Configurations for several gateways: what a proxy, Compose or Kubernetes is told, printed from one description."""
