"""n-gram language models and the beam search that uses them."""
