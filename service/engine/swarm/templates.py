"""Swarm expands templates in variables and mounts of a container, such as `{{.Node.ID}}`."""

_BEGINNING, _LITERAL = "{{", '{{"{{"}}'


def literal(value: str) -> str:
    """A value, escaped so that Swarm takes it literally."""
    return value.replace(_BEGINNING, _LITERAL)


def plain(value: str) -> str:
    """The value that `literal` was given."""
    return value.replace(_LITERAL, _BEGINNING)
