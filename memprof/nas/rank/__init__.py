"""Who is better: the metric, and what predicts it before a network is trained."""
