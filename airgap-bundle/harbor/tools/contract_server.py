#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Not Harbor: what testdata/contract.json says of it, made into a server for the tests.

    contract_server.py CONTRACT PORT

Routes and the checks of every request are made from the contract when it starts: an unknown path, parameter, header or
field, a wrong type or value, a missing required one is refused with 400 and kept in the list of violations. Answers are
held to the contract too. What the calls do is below, in memory, on 127.0.0.1, for the user `admin` with the password
`Harbor12345`.

/__test/ is for the tests alone: GET state; POST clear (faults and what was seen), reset (all), change, and fault, an object with
    call        its name in the contract, "*" for any, "change" for any but GET
    skip        so many of them are let through first
    times       how often (default 1, -1 for ever)
    after       true: the call is carried out, then answered like this
    status, body, text, headers    the answer; without a status that of the call
    omit        field that is left out of the answer's body
    drop        true: no answer, the connection is closed
    kill        process that is killed at this moment
"""

import base64
import datetime
import json
import os
import re
import secrets
import signal
import sys
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

LOGIN = "Basic " + base64.b64encode(b"admin:Harbor12345").decode()
PYTHON_TYPES = {"string": str, "integer": int, "boolean": bool, "array": list, "object": dict}


class Refused(Exception):
    """An answer that is no success."""

    def __init__(self, status, code, message):
        super().__init__(message)
        self.status, self.body = status, {"errors": [{"code": code, "message": message}]}


class Contract:
    def __init__(self, path):
        with open(path, encoding="utf-8") as file:
            self.text = json.load(file)
        self.calls = self.text["calls"]
        self.routes = []
        for name, call in self.calls.items():
            pattern = re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(self.text["basePath"] + call["path"]))
            self.routes.append((call["method"], re.compile(pattern + "$"), name))

    def find(self, method, path):
        for allowed, pattern, name in self.routes:
            match = pattern.match(path)
            if match and allowed == method:
                return name, {key: urllib.parse.unquote(value) for key, value in match.groupdict().items()}
        return None, {}

    def named(self, schema):
        if "ref" not in schema:
            return schema
        return {**self.text["types"][schema["ref"]], **{k: v for k, v in schema.items() if k != "ref"}}

    def problems(self, schema, value, where, strict):
        """What in a value does not fit. Strict: for requests, where fields may be required and none unknown."""
        schema = self.named(schema)
        kind = PYTHON_TYPES[schema["type"]]
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            return [f"{where} must be of type {schema['type']}"]
        out = []
        if "enum" in schema and value not in schema["enum"]:
            out.append(f"{where} must be one of {schema['enum']}")
        if strict and "minimum" in schema and len(value) < schema["minimum"]:
            out.append(f"{where} must not be empty")
        for i, item in enumerate(value if "items" in schema else []):
            out += self.problems(schema["items"], item, f"{where}[{i}]", strict)
        for key, item in (value if "values" in schema else {}).items():
            out += self.problems(schema["values"], item, f"{where}.{key}", strict)
        for key, field in schema.get("fields", {}).items():
            if key in value:
                out += self.problems(field, value[key], f"{where}.{key}", strict)
            elif strict and field.get("required"):
                out.append(f"{where}.{key} is missing")
        if strict and "fields" in schema:
            out += [f"{where}.{key} is unknown" for key in value if key not in schema["fields"]]
        return out

    def parameter(self, schema, text, where):
        try:
            value = {"integer": int, "boolean": lambda t: {"true": True, "false": False}[t], "string": str}[schema["type"]](text)
        except (ValueError, KeyError):
            return [f"{where} must be of type {schema['type']}"]
        out = [f"{where} must be one of {schema['enum']}"] if "enum" in schema and value not in schema["enum"] else []
        if schema["type"] == "integer" and value > schema.get("maximum", value):
            out.append(f"{where} may be {schema['maximum']} at most")
        return out

    def request_problems(self, name, place, query, headers, body):
        call = self.calls[name]
        out = []
        for key, schema in call.get("parameters", {}).items():
            out += self.parameter(schema, place[key], key)
        for key, value in query.items():
            schema = call.get("query", {}).get(key)
            out += self.parameter(schema, value, key) if schema else [f"query parameter {key} is unknown"]
        for key, schema in call.get("query", {}).items():
            if schema.get("required") and key not in query:
                out.append(f"query parameter {key} is missing")
        for key in (k for k in headers if k.lower().startswith("x-")):
            schema = call.get("headers", {}).get(key)
            out += self.parameter(schema, headers[key], key) if schema else [f"header {key} is unknown"]
        if "Cookie" in headers:
            out.append("cookies bring the CSRF check about")
        if "body" in call:
            if headers.get("Content-Type", "").split(";")[0] != "application/json":
                out.append("the body must be application/json")
            out += self.problems(call["body"], body, "body", True)
        elif body is not None:
            out.append("no body is taken")
        return out


class Harbor:
    """State and what the calls do to it."""

    def __init__(self):
        self.next_ids = {}
        self.projects, self.quotas, self.robots, self.labels, self.policies, self.rules = {}, {}, {}, {}, {}, {}
        self.users = 0  # besides admin
        self.client_secret = ""
        self.config = {
            "auth_mode": "db_auth", "primary_auth_mode": False, "robot_name_prefix": "robot$", "quota_per_project_enable": True,
            "oidc_name": "", "oidc_endpoint": "", "oidc_client_id": "", "oidc_scope": "", "oidc_groups_claim": "",
            "oidc_admin_group": "", "oidc_group_filter": "", "oidc_user_claim": "", "oidc_extra_redirect_parms": "",
            "oidc_verify_cert": True, "oidc_auto_onboard": False, "oidc_logout": False,
        }

    def new_id(self, table):
        """As in Harbor each kind has numbers of its own, so that those of others mean something, too."""
        self.next_ids[table] = self.next_ids.get(table, 0) + 1
        return self.next_ids[table]

    def state(self):
        return {"projects": self.projects, "quotas": self.quotas, "robots": self.robots, "labels": self.labels,
                "policies": self.policies, "rules": self.rules, "config": self.config, "client_secret": self.client_secret}

    def project(self, name, headers):
        by_id = headers.get("X-Is-Resource-Name") != "true" and name.isdigit()
        for project in self.projects.values():
            if (project["project_id"] == int(name)) if by_id else (project["name"] == name):
                return project
        raise Refused(404, "NOT_FOUND", f"project {name} not found")

    @staticmethod
    def get(table, key, what):
        if int(key) not in table:
            raise Refused(404, "NOT_FOUND", f"{what} {key} not found")
        return table[int(key)]

    # Each call: (status, body, location or list).
    def getHealth(self, request):
        return 200, {"status": "healthy", "components": [{"name": "core", "status": "healthy"}]}

    def getSystemInfo(self, request):
        return 200, {"harbor_version": "contract, not Harbor"}

    def getConfigurations(self, request):
        return 200, {key: {"value": value, "editable": key != "auth_mode" or self.users == 0} for key, value in self.config.items()}

    def updateConfigurations(self, request):
        if request.body.get("auth_mode", self.config["auth_mode"]) != self.config["auth_mode"] and self.users:
            raise Refused(400, "BAD_REQUEST", "the auth mode cannot be modified as new users have been inserted into database")
        for key, value in request.body.items():
            if key == "oidc_client_secret":
                self.client_secret = value
            else:
                self.config[key] = value
        return 200, None

    def getProject(self, request):
        return 200, self.project(request.place["project_name_or_id"], request.headers)

    def createProject(self, request):
        name = request.body["project_name"]
        if any(project["name"] == name for project in self.projects.values()):
            raise Refused(409, "CONFLICT", f"The project named {name} already exists")
        project = {"project_id": self.new_id("projects"), "name": name, "metadata": {"public": "false", **request.body.get("metadata", {})}}
        self.projects[project["project_id"]] = project
        if self.config["quota_per_project_enable"]:
            quota = self.new_id("quotas")
            limit = request.body.get("storage_limit") or -1
            self.quotas[quota] = {"id": quota, "hard": {"storage": limit}, "project": project["project_id"]}
        return 201, None, project["project_id"]

    def updateProject(self, request):
        project = self.project(request.place["project_name_or_id"], request.headers)
        project["metadata"].update(request.body.get("metadata", {}))
        return 200, None

    def deleteProject(self, request):
        project = self.project(request.place["project_name_or_id"], request.headers)
        if project.get("repo_count"):
            raise Refused(412, "PRECONDITION", "the project contains repositories, can not be deleted")
        number = project["project_id"]
        del self.projects[number]
        for table in (self.robots, self.quotas):
            for key in [key for key, item in table.items() if item["project"] == number]:
                del table[key]
        return 200, None

    def listQuotas(self, request):
        number = int(request.query.get("reference_id", 0))
        return 200, [quota for quota in self.quotas.values() if quota["project"] == number], "page"

    def updateQuota(self, request):
        self.get(self.quotas, request.place["id"], "quota")["hard"] = request.body["hard"]
        return 200, None

    def check_robot(self, body):
        if body["duration"] != -1 and body["duration"] <= 0:
            raise Refused(400, "BAD_REQUEST", "duration must be either -1(Never) or a positive integer")
        if body["level"] == "project" and len(body["permissions"]) > 1:
            raise Refused(400, "BAD_REQUEST", "bad request permission")
        for permission in body["permissions"]:
            if permission["kind"] == "project" and permission["namespace"] != "*":
                self.project(permission["namespace"], {"X-Is-Resource-Name": "true"})

    def expiry(self, robot, days):
        robot["duration"] = days
        robot["expires_at"] = -1 if days < 0 else robot["created"] + days * 86400

    def listRobots(self, request):
        project = 0
        if query := request.query.get("q"):
            fields = dict(part.split("=", 1) for part in query.split(","))
            if fields.get("Level") == "project" and "ProjectID" not in fields:
                raise Refused(400, "BAD_REQUEST", "must with project ID when to query project robots")
            if fields.get("Level") == "system" and "ProjectID" not in fields:
                project = None  # Harbor's robots have no level to be found by
            else:
                project = int(fields.get("ProjectID", 0))
        hidden = ("secret", "project", "created")
        listed = [{k: v for k, v in robot.items() if k not in hidden} for robot in self.robots.values() if project in (None, robot["project"])]
        for robot in listed:  # in no order, and with what nobody asked for
            robot["permissions"] = [
                {**one, "access": [{**access, "effect": "allow"} for access in reversed(one["access"])]}
                for one in reversed(robot["permissions"])]
        return 200, listed, "page"

    def createRobot(self, request):
        body = request.body
        if not re.fullmatch(r"[a-z0-9]+(?:[._-][a-z0-9]+)*", body["name"]):
            raise Refused(400, "BAD_REQUEST", "robot name is not in lower case or contains illegal characters")
        self.check_robot(body)
        project, name = 0, body["name"]
        if body["level"] == "project":
            found = self.project(body["permissions"][0]["namespace"], {"X-Is-Resource-Name": "true"})
            project, name = found["project_id"], f"{found['name']}+{name}"
        name = self.config["robot_name_prefix"] + name
        if any(robot["name"] == name for robot in self.robots.values()):
            raise Refused(409, "CONFLICT", "robot account already exists")
        robot = {"id": self.new_id("robots"), "name": name, "description": body.get("description", ""), "level": body["level"],
                 "disable": False, "editable": True, "permissions": body["permissions"], "project": project,
                 "created": int(datetime.datetime.now().timestamp()), "secret": secrets.token_urlsafe(24)}
        self.expiry(robot, body["duration"])
        self.robots[robot["id"]] = robot
        return 201, {key: robot[key] for key in ("id", "name", "secret", "expires_at")}, robot["id"]

    def updateRobot(self, request):
        robot, body = self.get(self.robots, request.place["robot_id"], "robot"), request.body
        self.check_robot({"duration": robot["duration"], **body})
        if body["level"] != robot["level"] or body["name"] != robot["name"]:
            raise Refused(400, "BAD_REQUEST", "cannot update the level or name of robot")
        robot.update({"description": body.get("description", ""), "disable": body.get("disable", False),
                      "permissions": body["permissions"]})
        if body.get("duration", robot["duration"]) != robot["duration"]:
            self.expiry(robot, body["duration"])
        return 200, None

    def refreshRobot(self, request):
        robot = self.get(self.robots, request.place["robot_id"], "robot")
        given = request.body.get("secret", "")
        robot["secret"] = given or secrets.token_urlsafe(24)
        return 200, {"secret": "" if given else robot["secret"]}

    def deleteRobot(self, request):
        self.get(self.robots, request.place["robot_id"], "robot")
        del self.robots[int(request.place["robot_id"])]
        return 200, None

    def check_policy(self, body):
        if body["scope"]["ref"] not in self.projects:
            raise Refused(400, "BAD_REQUEST", f"invalid Project id {body['scope']['ref']}")
        if len(body["rules"]) > 15:
            raise Refused(400, "BAD_REQUEST", "only 15 rules are allowed at most")
        plain = [json.dumps({k: v for k, v in rule.items() if k != "id"}, sort_keys=True) for rule in body["rules"]]
        if len(set(plain)) != len(plain):
            raise Refused(409, "CONFLICT", "rule is conflict with rule")
        if "cron" not in body["trigger"]["settings"]:
            raise Refused(500, "UNKNOWN", "internal server error")

    def getRetention(self, request):
        return 200, self.get(self.policies, request.place["id"], "retention policy")

    def createRetention(self, request):
        self.check_policy(request.body)
        project = self.projects[request.body["scope"]["ref"]]
        if "retention_id" in project["metadata"]:
            raise Refused(400, "BAD_REQUEST", "project already has retention policy")
        number = self.new_id("policies")
        self.policies[number] = self.numbered({**request.body, "id": number})
        project["metadata"]["retention_id"] = str(number)
        return 201, None, number

    @staticmethod
    def numbered(policy):
        return {**policy, "rules": [{"priority": 0, **rule, "id": i} for i, rule in enumerate(policy["rules"])]}

    def updateRetention(self, request):
        number = int(request.place["id"])
        self.get(self.policies, number, "retention policy")
        self.check_policy(request.body)
        self.policies[number] = self.numbered({**request.body, "id": number})
        return 200, None

    def deleteRetention(self, request):
        policy = self.policies.pop(int(request.place["id"]), None)
        if policy is None:
            raise Refused(400, "BAD_REQUEST", "retention policy not found")
        self.projects.get(policy["scope"]["ref"], {"metadata": {}})["metadata"].pop("retention_id", None)
        return 200, None

    def listImmutableRules(self, request):
        number = self.project(request.place["project_name_or_id"], request.headers)["project_id"]
        listed = [{k: v for k, v in rule.items() if k != "project"} for rule in self.rules.values() if rule["project"] == number]
        return 200, listed, "page"

    def createImmutableRule(self, request):
        project = self.project(request.place["project_name_or_id"], request.headers)
        rule = {"priority": 0, **request.body, "disabled": False, "id": self.new_id("rules"), "project": project["project_id"]}
        own = ("id", "disabled")
        for other in self.rules.values():
            if {k: v for k, v in other.items() if k not in own} == {k: v for k, v in rule.items() if k not in own}:
                raise Refused(409, "CONFLICT", "immutable rule already exists")
        self.rules[rule["id"]] = rule
        return 201, None, rule["id"]

    def rule(self, request):
        project = self.project(request.place["project_name_or_id"], request.headers)
        rule = self.get(self.rules, request.place["immutable_rule_id"], "rule")
        if rule["project"] != project["project_id"]:
            raise Refused(404, "NOT_FOUND", "project id does not match")
        return rule

    def updateImmutableRule(self, request):
        if request.body.get("id") != int(request.place["immutable_rule_id"]):
            raise Refused(400, "BAD_REQUEST", "the immutable_rule_id doesn't match the id in the payload body")
        self.rule(request).update(request.body)
        return 200, None

    def deleteImmutableRule(self, request):
        del self.rules[self.rule(request)["id"]]
        return 200, None

    def listLabels(self, request):
        project, part = int(request.query["project_id"]), request.query.get("name", "")
        return 200, [label for label in self.labels.values() if label["project_id"] == project and part in label["name"]], "page"

    def createLabel(self, request):
        body = request.body
        if any(x["name"] == body["name"] and x["project_id"] == body["project_id"] for x in self.labels.values()):
            raise Refused(409, "CONFLICT", f"label {body['name']} already exists")
        label = {**body, "id": self.new_id("labels")}
        self.labels[label["id"]] = label
        return 201, None, label["id"]

    def updateLabel(self, request):
        label = self.get(self.labels, request.place["label_id"], "label")
        label.update({key: request.body.get(key, "") for key in ("name", "description", "color")})
        return 200, None

    def deleteLabel(self, request):
        self.get(self.labels, request.place["label_id"], "label")
        del self.labels[int(request.place["label_id"])]
        return 200, None


class Tests:
    """What tests ask for: faults, and what was seen."""

    def __init__(self):
        self.faults, self.violations, self.seen = [], [], []

    def fault_for(self, name, method):
        for fault in self.faults:
            if fault["call"] not in ("*", name) and not (fault["call"] == "change" and method != "GET"):
                continue
            if fault.get("skip", 0) > 0:
                fault["skip"] -= 1
                continue
            if fault.get("times", 1) == 0:
                continue
            fault["times"] = fault.get("times", 1) - 1
            return fault
        return None


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # headers and body are two writes: 40 ms for each answer otherwise
    contract = harbor = tests = None
    lock = threading.Lock()

    def log_message(self, *arguments):
        pass

    def answer(self, status, body=None, headers=None, text=None):
        content = text if text is not None else "" if body is None else json.dumps(body)
        data = content.encode()
        self.send_response(status)
        for key, value in (headers or {}).items():
            self.send_header(key, value)
        if "Content-Type" not in (headers or {}):
            self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def read_body(self):
        length = int(self.headers.get("Content-Length") or 0)
        data = self.rfile.read(length)
        if not data:
            return None
        try:
            return json.loads(data)
        except ValueError:
            return "no JSON"

    def handle_one(self):
        url = urllib.parse.urlsplit(self.path)
        self.body = self.read_body()
        if url.path.startswith("/__test/"):
            return self.for_tests(url.path)
        with self.lock:
            return self.for_api(url)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_one

    def for_tests(self, path):
        with self.lock:
            if path == "/__test/fault":
                self.tests.faults.append(self.body)
            elif path == "/__test/reset":
                Handler.harbor = Harbor()
            if path in ("/__test/clear", "/__test/reset"):
                self.tests.faults.clear()
                self.tests.seen.clear()
            elif path == "/__test/change":  # {"table", "id", "set"}: what a person does in the browser
                where = getattr(self.harbor, self.body["table"])
                if self.body.get("id") is None:
                    setattr(self.harbor, self.body["table"], self.body["set"])
                elif isinstance(self.body["id"], str):
                    where[self.body["id"]] = self.body["set"]
                else:
                    where.setdefault(self.body["id"], {}).update(self.body["set"])
            state = self.harbor.state() | {"violations": self.tests.violations, "seen": self.tests.seen}
            return self.answer(200, state)

    def for_api(self, url):
        name, self.place = self.contract.find(self.command, url.path)
        self.query = dict(urllib.parse.parse_qsl(url.query, keep_blank_values=True))
        self.tests.seen.append(name or f"{self.command} {url.path}")
        fault = self.tests.fault_for(name, self.command) or {}
        status, body, headers = 0, None, {}
        if not fault or fault.get("after"):
            status, body, headers = self.carry_out(name)
        if "kill" in fault:
            os.kill(fault["kill"], signal.SIGKILL)
        if fault.get("drop") or "kill" in fault:
            self.close_connection = True
            return None
        if "omit" in fault:
            body = self.without(body, fault["omit"])
        if "status" in fault or "body" in fault or "text" in fault:
            body = fault.get("body", body)
        return self.answer(fault.get("status", status), body, {**headers, **fault.get("headers", {})}, fault.get("text"))

    @staticmethod
    def without(body, field):
        if isinstance(body, list):
            return [{k: v for k, v in one.items() if k != field} for one in body]
        return {k: v for k, v in (body or {}).items() if k != field}

    def carry_out(self, name):
        try:
            if name is None:
                raise Refused(404, "NOT_FOUND", "the contract has no such call")
            call = self.contract.calls[name]
            if not call.get("anonymous") and self.headers.get("Authorization") != LOGIN:
                raise Refused(401, "UNAUTHORIZED", "unauthorized")
            problems = self.contract.request_problems(name, self.place, self.query, self.headers, self.body)
            if problems:
                # The value of a switch is Harbor's to judge; all else is a mistake of the client.
                if problems != [f"body.metadata.public must be one of {['true', 'false']}"]:
                    self.tests.violations.append(f"{name}: {'; '.join(problems)}")
                raise Refused(400, "BAD_REQUEST", "; ".join(problems))
            return self.success(name, call, *getattr(self.harbor, name)(self))
        except Refused as refusal:
            if name is not None:
                call = self.contract.calls[name]
                if refusal.status not in call["errors"] + call.get("later", []) + call.get("undocumented", []):
                    self.tests.violations.append(f"{name} was answered with {refusal.status}, which the contract does not have")
            return refusal.status, refusal.body, {}

    def success(self, name, call, status, body, extra=None):
        schema, headers = call["success"][str(status)], {}
        if extra == "page":
            page, size = int(self.query.get("page", 1)), int(self.query.get("page_size", 10))
            headers["X-Total-Count"] = str(len(body))
            if page * size < len(body):
                headers["Link"] = f'<{self.path.split("?")[0]}?page={page + 1}&page_size={size}>; rel="next"'
            body = body[(page - 1) * size:page * size]
        elif extra is not None:
            headers["Location"] = f"{self.path.rstrip('/')}/{extra}"
        if schema.get("body"):
            for problem in self.contract.problems(schema["body"], body, "answer", False):
                self.tests.violations.append(f"{name} was answered wrongly: {problem}")
        return status, body, headers


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    Handler.contract, Handler.harbor, Handler.tests = Contract(sys.argv[1]), Harbor(), Tests()
    missing = [name for name in Handler.contract.calls if not hasattr(Handler.harbor, name)]
    if missing:
        sys.exit(f"nothing is known of what these do: {missing}")
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[2])), Handler)
    server.daemon_threads = True
    server.serve_forever()


if __name__ == "__main__":
    main()
