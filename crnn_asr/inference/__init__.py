"""Model file and recogniser, without TensorFlow."""
