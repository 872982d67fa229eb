"""Loaded models and the requests that use them."""
