"""Moving cameras: which frames show the same scene from elsewhere, and how the camera moved between them."""
