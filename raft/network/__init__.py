"""Frames over TCP: `codec` (a message as bytes), `transport` (the links between nodes)."""
