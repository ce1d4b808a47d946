"""Checks OpenAPI documents with openapi-spec-validator, and answers against their schemas with jsonschema.

Reads {"documents": {name: document}, "answers": [{"document", "path", "method", "status", "type", "body"}]} from the
file named first; prints one line for each finding, and at the end how much was checked."""

import json
import sys

from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

given = json.load(open(sys.argv[1], encoding="utf-8"))
findings = []
for name, document in given["documents"].items():
    assert document["openapi"].startswith("3.1"), document["openapi"]
    findings += [f"{name}: {error.message[:300]}" for error in OpenAPIV31SpecValidator(document).iter_errors()]


def strict(schema):
    """A key that the schema does not tell is a mistake, although clients must bear it."""
    kind = schema.get("type")
    if kind == "array":
        return {"type": "array", "items": strict(schema["items"])}
    return {"allOf": [schema], "if": {"type": "object"}, "then": {}, "unevaluatedProperties": False}


for answer in given["answers"]:
    at = f'{answer["method"]} {answer["path"]} {answer["status"]}'
    document = given["documents"][answer["document"]]
    operation = document["paths"][answer["path"]][answer["method"].lower()]
    response = operation["responses"].get(str(answer["status"]))
    if response is None:
        findings.append(f"{at}: the status is not described")
        continue
    content = response["content"].get(answer["type"], response["content"].get("*/*"))
    if content is None:
        findings.append(f'{at}: the type {answer["type"]} is not described')
        continue
    if "schema" not in content:
        continue
    schema = dict(strict(content["schema"]), components=document["components"])
    for error in Draft202012Validator(schema).iter_errors(json.loads(answer["body"])):
        findings.append(f'{at}: {error.json_path}: {error.message[:300]} in {answer["body"][:300]}')

for finding in findings:
    print(finding)
print(f'{len(given["documents"])} documents and {len(given["answers"])} answers checked, {len(findings)} findings')
