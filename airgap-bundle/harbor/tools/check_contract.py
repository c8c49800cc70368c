#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares testdata/contract.json, which the tests hold Harbor's client to, with the API's own description.

    check_contract.py SWAGGER [CONTRACT]

SWAGGER is a file: Harbor's api/v2.0/swagger.yaml, or the same in JSON. Prints every difference, a line each, and ends with
1 when there is one. YAML needs Debian's python3-yaml.

What is compared, for each call of the contract: method and path; parameters of path, query and header with their types;
each field of the body and of answers with its type, however deep; values that a field may have, which the description must
list or at least mention; each documented status, and that those which the contract calls undocumented still are so; the
form of error bodies. What the description demands (a required parameter, a required field) the contract must demand too.
"""

import json
import pathlib
import re
import sys

HERE = pathlib.Path(__file__).resolve().parent


def load(path):
    text = pathlib.Path(path).read_text(encoding="utf-8")
    try:
        return json.loads(text)
    except ValueError:
        pass
    try:
        import yaml
    except ImportError:
        sys.exit("this needs PyYAML: apt-get install python3-yaml")
    return yaml.safe_load(text)


class Comparison:
    def __init__(self, swagger, contract):
        self.swagger, self.contract, self.differences = swagger, contract, []

    def differ(self, where, what):
        self.differences.append(f"{where}: {what}")

    def resolve(self, node):
        """Follows a $ref of the description."""
        seen = 0
        while isinstance(node, dict) and "$ref" in node:
            at = self.swagger
            for part in node["$ref"].lstrip("#/").split("/"):
                at = at.get(part, {})
            node, seen = at, seen + 1
            if seen > 20:
                return {}
        return node or {}

    def named(self, schema):
        """Follows a `ref` of the contract; what stands beside it wins."""
        if "ref" not in schema:
            return schema
        return {**self.contract["types"][schema["ref"]], **{k: v for k, v in schema.items() if k != "ref"}}

    def compare_type(self, where, ours, theirs, description=""):
        ours, theirs = self.named(ours), self.resolve(theirs)
        their_type = theirs.get("type", "object")
        if ours["type"] != their_type:
            self.differ(where, f"is {ours['type']} in the contract, {their_type} in the description")
            return
        said = theirs.get("description", description)
        self.compare_values(where, ours, theirs, said)
        if "items" in ours:
            self.compare_type(f"{where}[]", ours["items"], theirs.get("items", {}))
        if "values" in ours:
            self.compare_type(f"{where}{{}}", ours["values"], theirs.get("additionalProperties") or {})
        properties = theirs.get("properties", {})
        for name, field in ours.get("fields", {}).items():
            if name not in properties and not field.get("unstated"):
                self.differ(f"{where}.{name}", "is not in the description")
            elif name in properties and field.get("unstated"):
                self.differ(f"{where}.{name}", "is in the description now: it is not unstated")
            elif name in properties:
                self.compare_type(f"{where}.{name}", field, properties[name])
        for name in theirs.get("required", []):
            if not ours.get("fields", {}).get(name, {}).get("required"):
                self.differ(f"{where}.{name}", "is required by the description")

    def compare_values(self, where, ours, theirs, said):
        for value in ours.get("enum", []):
            if "enum" in theirs:
                if value not in theirs["enum"]:
                    self.differ(where, f"may not be {value!r} by the description")
            elif not ours.get("unstatedValues") and not re.search(rf"(?<!\w){re.escape(str(value))}(?!\w)", said):
                self.differ(where, f"the description does not mention {value!r}")

    def compare_parameters(self, where, call, operation):
        theirs = {}
        for parameter in operation.get("parameters", []):
            parameter = self.resolve(parameter)
            theirs[parameter.get("in"), parameter.get("name")] = parameter
        ours = {("query", name): schema for name, schema in call.get("query", {}).items()}
        ours |= {("header", name): schema for name, schema in call.get("headers", {}).items()}
        ours |= {("path", name): {**schema, "required": True} for name, schema in call.get("parameters", {}).items()}
        for key, schema in ours.items():
            if key not in theirs:
                self.differ(where, f"{key[0]} parameter {key[1]} is not in the description")
                continue
            plain = {k: v for k, v in theirs[key].items() if k != "required"}  # true or false here, a list in a schema
            self.compare_type(f"{where} {key[0]} {key[1]}", schema, plain)
            limit = theirs[key].get("maximum")
            if limit is not None and schema.get("maximum", limit) > limit:
                self.differ(where, f"{key[1]} may be {limit} at most")
        for (place, name), parameter in theirs.items():
            if parameter.get("required") and place != "body" and not ours.get((place, name), {}).get("required"):
                self.differ(where, f"{place} parameter {name} is required by the description")
        bodies = [p for (place, _), p in theirs.items() if place == "body"]
        if "body" in call and not bodies:
            self.differ(where, "takes no body by the description")
        elif "body" in call:
            self.compare_type(f"{where} body", call["body"], bodies[0].get("schema", {}))
        elif any(p.get("required") for p in bodies):
            self.differ(where, "needs a body by the description")

    def compare_answers(self, where, call, operation):
        answers = {int(k): self.resolve(v) for k, v in operation.get("responses", {}).items() if str(k).isdigit()}
        for status, schema in call["success"].items():
            if int(status) not in answers:
                self.differ(where, f"the description has no answer {status}")
            elif schema.get("body"):
                if "schema" not in answers[int(status)]:
                    self.differ(where, f"the description has no body for {status}")
                else:
                    self.compare_type(f"{where} {status}", schema["body"], answers[int(status)]["schema"])
            for header in schema.get("headers", []):
                if header not in answers.get(int(status), {}).get("headers", {}):
                    self.differ(where, f"the description has no header {header} for {status}")
        for status in call["errors"]:
            if status not in answers:
                self.differ(where, f"the description has no answer {status}")
            elif "schema" in answers[status]:
                self.compare_type(f"{where} {status}", self.contract["errorBody"], answers[status]["schema"])
        for status in call.get("undocumented", []):
            if status in answers:
                self.differ(where, f"{status} is in the description now: it is not undocumented")

    def run(self):
        if self.swagger.get("basePath") != self.contract["basePath"]:
            self.differ("basePath", f"is {self.swagger.get('basePath')} in the description")
        paths = self.swagger.get("paths", {})
        for name, call in self.contract["calls"].items():
            where = f"{name} ({call['method']} {call['path']})"
            item = paths.get(call["path"])
            if item is None:
                self.differ(where, "the description has no such path")
                continue
            operation = item.get(call["method"].lower())
            if operation is None:
                self.differ(where, "the description has no such method here")
                continue
            operation = {**operation, "parameters": item.get("parameters", []) + operation.get("parameters", [])}
            self.compare_parameters(where, call, operation)
            self.compare_answers(where, call, operation)
        return self.differences


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    swagger = load(sys.argv[1])
    contract = load(sys.argv[2] if len(sys.argv) == 3 else HERE.parent / "testdata" / "contract.json")
    differences = Comparison(swagger, contract).run()
    for line in differences:
        print(line)
    print(f"{len(contract['calls'])} calls compared, {len(differences)} differences")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
