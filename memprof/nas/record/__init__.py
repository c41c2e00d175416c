"""What a search has written down, and everything that follows from it alone: state, scores, forecast, summary."""
