"""The fields of a document, each checked by itself; pydantic models in strict mode."""
