"""Greets whom the event names: magpie invoke python3 -d '{"name":"magpie"}'"""


def handler(event, context):
    name = event.get("name", "world") if isinstance(event, dict) else "world"
    print(f"greeting {name}")  # a line of the function's log
    return {"message": f"Hello, {name}!"}
