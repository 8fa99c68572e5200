"""Networks, one file per noun: plain modules that export to ONNX."""
