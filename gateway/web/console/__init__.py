"""The console: pages for people, drawn by the server of what the REST routes tell programs."""
