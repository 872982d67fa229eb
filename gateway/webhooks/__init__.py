"""Telling events to others over HTTP: where they may be, one attempt, and the thread that goes on trying."""
