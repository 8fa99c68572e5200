"""Training samples: pictures with targets."""
