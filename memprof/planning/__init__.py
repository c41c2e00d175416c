"""Bounds, orders, offsets, and the validator that checks every plan."""
