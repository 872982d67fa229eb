"""Versions that have crashed a worker, or may: each runs in child processes of its own."""
