"""Artifacts as bytes by digest."""
