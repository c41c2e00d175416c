"""From a network and a recipe to weights and an accuracy: the data, the modules, one job in one process."""
