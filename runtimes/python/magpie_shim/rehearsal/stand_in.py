"""What parking.py imports in place of a function's module."""


def handle(event, context):
    return event
