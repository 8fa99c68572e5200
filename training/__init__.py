"""The workstation package: render, train, evaluate and export the models that the device serves."""
