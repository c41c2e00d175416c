"""What lies in a search folder that somebody else may have sent: opened without following links, read by its type."""
