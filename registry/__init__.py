"""The words and the rules of the registry; imports nothing of ours."""
