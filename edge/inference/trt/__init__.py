"""TensorRT: plans built on the device, kept, verified and run."""
