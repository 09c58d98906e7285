"""The three kinds of error a user can cause. Each is a `ValueError`, each message says what came and what to do."""


class AudioError(ValueError):
    """Sound that cannot be used: unreadable, empty, not finite, too short."""


class DataError(ValueError):
    """A manifest, transcript, corpus or grammar that is not what it should be."""


class ModelError(ValueError):
    """A model file, checkpoint or configuration that is damaged, foreign or does not fit."""


def require(condition: bool, message: str) -> None:
    """Raise a `ModelError` of this message where a configuration does not hold what it must."""
    if not condition:
        raise ModelError(message)
