"""From an order or a plan to a file or a graph: one file per format."""
