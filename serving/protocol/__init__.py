"""The Open Inference Protocol (V2) and the older V1."""
