"""From network tensors to scene values, one file per noun."""
