"""The root of what a person can act on."""


class SandboxError(Exception):
    """The message says what went wrong and, where it can be said, what to do."""
