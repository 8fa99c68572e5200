"""In what precision a model is exported."""
