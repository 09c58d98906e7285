"""A corpus looked through before it is trained on, and divided: faults, doubles, leaks, splits."""
