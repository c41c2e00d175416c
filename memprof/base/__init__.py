"""What knows nothing of networks: errors, sizes as people write them, names that may be shown, files, processes."""
