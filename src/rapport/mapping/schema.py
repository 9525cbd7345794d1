"""The JSON Schema of mapping files, made from the models, so that editors complete them.

``python -m rapport.mapping.schema`` prints it; it is kept in
``docs/reference/mapping.schema.json``.
"""

from __future__ import annotations

import json
from typing import Any

from rapport.mapping.canonical import BY_NAME
from rapport.mapping.source import preset_names
from rapport.mapping.vendor import MappingFile


def mapping_schema() -> dict[str, Any]:
    """Return the JSON Schema of a mapping file."""
    schema = MappingFile.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "rapport mapping"
    schema["$defs"]["FileMapping"]["properties"]["table"]["enum"] = list(BY_NAME)
    schema["properties"]["extends"] = {
        "title": "Extends",
        "enum": preset_names(),
        "description": "The shipped preset it builds on.",
    }
    for model in schema["$defs"].values():
        _describe(model)
    _describe(schema)
    return schema


def _describe(model: dict[str, Any]) -> None:
    """Give each property the line that the model's docstring has for it."""
    summary, _, attributes = model.get("description", "").partition("Attributes:")
    model["description"] = " ".join(summary.split())
    name = ""
    for line in attributes.splitlines():
        head, colon, rest = line.strip().partition(":")
        if colon and head in model.get("properties", {}):
            name = head
            model["properties"][name]["description"] = rest.strip()
        elif name and line.strip():
            model["properties"][name]["description"] += f" {line.strip()}"


def rendered_schema() -> str:
    """Return the schema as the text that is kept in the docs."""
    return json.dumps(mapping_schema(), indent=2) + "\n"


if __name__ == "__main__":
    print(rendered_schema(), end="")
