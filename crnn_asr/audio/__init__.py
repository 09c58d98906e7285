"""Sound as float32 mono at one rate: reading, augmentation, log-mel."""
