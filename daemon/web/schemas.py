"""The OpenAPI description (3.1), made from the tables that make the routes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from daemon.history import ENDED, MARK
from daemon.looks import LONGEST_SEARCH, MOST
from daemon.web.operations import JOBS, OPERATIONS, Operation
from engine import __version__

Schema = Mapping[str, Any]


def _object(**properties: Schema) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _list(items: Schema) -> dict[str, Any]:
    return {"type": "array", "items": items}


def _maybe(kind: str, description: str = "") -> dict[str, Any]:
    return {"type": [kind, "null"], **({"description": description} if description else {})}


_TEXT, _WHOLE, _NUMBER, _FLAG = ({"type": kind} for kind in ("string", "integer", "number", "boolean"))
_JOB = {"$ref": "#/components/schemas/Job"}
_PREVIEW = {
    **_maybe("object", "null: nobody asked for one, or it was made too long ago"),
    "properties": {
        "state": {"type": "string", "enum": ["waiting", "making", "ready", "failed"]},
        "share": _maybe("number", "0 to 1, while it is made"),
        "reason": _maybe("string", "why it failed"),
        "remedy": _maybe("string"),
        "made": _maybe("number", "seconds since 1970"),
        "address": _maybe("string", "where the page is, once it is ready"),
    },
}

_SCHEMAS: Mapping[str, Schema] = {
    "Error": _object(error=_TEXT, remedy=_TEXT),
    "Judged": _object(
        jobs={**_list(_WHOLE), "description": "those to which it was done"},
        refused={"type": "object", "additionalProperties": _TEXT, "description": "by number, why not to others"},
    ),
    "Paused": _object(paused={"type": ["object", "null"], "description": "reason and since, while work is paused"}),
    "Job": _object(
        job=_WHOLE,
        state={"type": "string", "enum": ["queued", "running", "verifying", *ENDED]},
        superseded={**_FLAG, "description": "the file is another by now; it was queued anew"},
        priority=_WHOLE,
        source=_TEXT,
        output=_maybe("string"),
        profile=_maybe("string"),
        failures={**_WHOLE, "description": "attempts used"},
        reason=_maybe("string", "why it is in this state"),
        remedy=_maybe("string", "what to do about it"),
        changed={**_NUMBER, "description": "seconds since 1970"},
    ),
    "Status": _object(
        service=_object(runs=_FLAG, pid=_maybe("integer")),
        counts={"type": "object", "additionalProperties": _WHOLE, "description": "jobs by state"},
        running=_maybe("object", "the job at work: Job, with frames, speed, time left, bottleneck, reuse"),
        also_running={**_list({"type": "object"}), "description": "further jobs at work, where a cluster works"},
        cluster=_maybe("object", "the cluster's address, its problem if it has one, and its nodes"),
        waiting={**_list({"type": "object"}), "description": "folders whose work waits, with reason and remedy"},
        queued=_list(_JOB),
        failed=_list(_JOB),
        incomplete=_list(_JOB),
        delivered=_list(_JOB),
        skipped=_list(_JOB),
    ),
    "Queue": _object(jobs=_list(_JOB), total=_WHOLE),
    "History": _object(jobs=_list(_JOB), next=_maybe("string", "`after` of the next page; null on the last")),
    "OneJob": _object(
        job=_JOB, attempts=_list({"type": "object"}), report=_maybe("object", "of the delivery"), preview=_PREVIEW
    ),
    "Folders": _object(folders=_list({"type": "object"}), places={"type": "object", "additionalProperties": _TEXT}),
    "Machine": _object(
        disks=_list({"type": "object"}), gpus=_list({"type": "object"}), models=_list({"type": "object"})
    ),
}

_IN_PATH = {"name": "job", "in": "path", "required": True, "schema": JOBS["items"]}
_COUNT = {"type": "integer", "minimum": 1, "maximum": MOST, "default": 50}


def _query(name: str, schema: Schema, description: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "schema": schema, "description": description}


LOOKS: Mapping[str, tuple[str, str, list[dict[str, Any]]]] = {
    "/status": ("What runs, what waits, what failed and why", "Status", []),
    "/queue": (
        "The queue, in its order",
        "Queue",
        [
            _query("first", {"type": "integer", "minimum": 0, "maximum": 1 << 31, "default": 0}, "jobs passed over"),
            _query("limit", _COUNT, "jobs of one page"),
        ],
    ),
    "/history": (
        "Ended jobs, the latest first",
        "History",
        [
            _query(
                "state",
                {"type": "array", "items": {"type": "string", "enum": list(ENDED)}},
                "only these; may be repeated",
            ),
            _query("search", {"type": "string", "maxLength": LONGEST_SEARCH}, "part of the source's path"),
            _query("after", {"type": "string", "pattern": MARK}, "`next` of the page before"),
            _query("limit", _COUNT, "jobs of one page"),
        ],
    ),
    "/jobs/{job}": (
        "One job: attempts, failure, report",
        "OneJob",
        [_IN_PATH],
    ),
    "/folders": ("The watched folders, their profiles and how they are", "Folders", []),
    "/machine": ("Disks, GPUs and models", "Machine", []),
    "/openapi.json": ("This description", "", []),
}
"""By path: what it is, the schema of the answer, the parameters."""


def describe(base: str) -> dict[str, Any]:
    """The whole description; `base` is the path before all others."""
    paths: dict[str, Any] = {}
    for path, (summary, schema, parameters) in LOOKS.items():
        paths[base + path] = {
            "get": {
                "summary": summary,
                "parameters": parameters,
                "responses": {"200": _answer(summary, schema), **_refusals("400", "401", "403", "404", "503")},
                "security": [{}, {"token": []}],
            }
        }
    for name, operation in OPERATIONS.items():
        paths[base + operation.path(name)] = {"post": _doing(operation)}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Kakudai",
            "version": __version__,
            "description": "Looking needs the token only where the page is not on this machine alone; doing always.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "paths": paths,
        "components": {
            "schemas": _SCHEMAS,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "`kakudai status --url` prints it"}
            },
        },
    }


def _doing(operation: Operation) -> dict[str, Any]:
    judged = "jobs" in operation.fields or operation.of_one_job
    if operation.of_one_job:
        asked: dict[str, Any] = {"parameters": [_IN_PATH]}
    else:
        asked = {"requestBody": {"required": judged, "content": {"application/json": {"schema": _body(operation)}}}}
    return {
        "summary": operation.summary,
        **asked,
        "responses": {
            "200": _answer(operation.done, "Judged" if judged else "Paused"),
            **({"409": _answer("It could be done to none of these jobs", "Judged")} if judged else {}),
            **_refusals("400", "401", "403", *(["404"] if operation.of_one_job else []), "503"),
        },
        "security": [{"token": []}],
    }


def _body(operation: Operation) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": operation.fields,
        "required": list(operation.needed),
        "additionalProperties": False,
    }


def _answer(description: str, schema: str) -> dict[str, Any]:
    content = {"$ref": f"#/components/schemas/{schema}"} if schema else {"type": "object"}
    return {"description": description, "content": {"application/json": {"schema": content}}}


_WORDS = {
    "400": "The request is not understood",
    "401": "The token is missing or wrong",
    "403": "The Host header names another address",
    "404": "There is no such job",
    "503": "The service does not answer just now",
}


def _refusals(*codes: str) -> dict[str, Any]:
    return {code: _answer(_WORDS[code], "Error") for code in codes}
