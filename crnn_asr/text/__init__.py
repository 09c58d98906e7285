"""Alphabet, normalisation, decoding, error rates."""
