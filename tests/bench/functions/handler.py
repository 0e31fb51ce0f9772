"""The handler that magpie and uWSGI both run."""


def handle(event, context):
    return {"statusCode": 200, "headers": {"content-type": "application/json"},
            "body": event["body"]}
