"""The order that needs the fewest bytes at its peak, and a proof of how close it is to the best possible."""
