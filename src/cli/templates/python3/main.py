def handler(event, context):
    name = event.get("name", "world") if isinstance(event, dict) else "world"
    print(f"greeting {name}")  # the log: magpie logs {{name}}
    return {"message": f"Hello, {name}!"}
