"""What other devices publish, received."""
