"""Which replica answers for which version: the words that a proxy and its replicas have in common."""
