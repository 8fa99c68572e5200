"""From a checkpoint to `engines/<name>`: ONNX, parity check, golden pair, manifest and card."""
