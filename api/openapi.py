"""What the OpenAPI document says beyond what the views say themselves."""

from typing import Any

from api.problems import CONTENT_TYPE

PROBLEM = {
    "type": "object",
    "description": "An error (RFC 9457). Programs go by its code, which does not change.",
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string", "description": "A sentence for people."},
        "status": {"type": "integer"},
        "code": {"type": "string"},
        "hint": {"type": "string", "description": "What to do about it."},
        "fields": {
            "type": "object",
            "additionalProperties": {"type": "string"},
            "description": "The fields at fault, by their path in the body.",
        },
        "retryable": {"type": "boolean", "description": "The same request may succeed later."},
    },
    "required": ["type", "title", "status", "code", "hint", "fields", "retryable"],
}


def add_problems(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """A drf-spectacular post-processing hook: any operation may answer with a problem."""
    result["components"]["schemas"]["Problem"] = PROBLEM
    shape = {"schema": {"$ref": "#/components/schemas/Problem"}}
    for operations in result["paths"].values():
        for operation in operations.values():
            operation["responses"]["default"] = {
                "description": "It did not work, and why.",
                "content": {CONTENT_TYPE: shape},
            }
    return result
