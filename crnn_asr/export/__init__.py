"""Inference graph, calibration, quantisation (needs TensorFlow)."""
