"""Recipes, by what they say: the network, its loss, the data, the optimiser; `file` reads them."""
