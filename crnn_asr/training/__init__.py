"""Batches, model, loss, loop, checkpoints (needs TensorFlow)."""
