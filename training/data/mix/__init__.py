"""What a recipe learns from: entries, weights, parts, order."""
