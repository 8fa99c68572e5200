"""How pictures are varied while training."""
