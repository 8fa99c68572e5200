"""Other people's weights, and networks without any."""
