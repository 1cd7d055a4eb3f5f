"""What may be asked of the service from the page and the API: the control socket's own operations, field by field."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.errors import UsageError

JOBS: Mapping[str, Any] = {
    "type": "array",
    "items": {"type": "integer", "minimum": 0, "maximum": (1 << 63) - 1},
    "minItems": 1,
    "maxItems": 10_000,
    "description": "numbers of jobs",
}


@dataclass(frozen=True)
class Operation:
    """`fields` are JSON schemas by name; those in `needed` must be given. `done` is what people are told. What is
    `of_one_job` takes its number from the address.
    """

    summary: str
    done: str
    fields: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    needed: tuple[str, ...] = ()
    of_one_job: bool = False

    def path(self, name: str) -> str:
        """Where the API has it, below its base."""
        return f"/jobs/{{job}}/{name}" if self.of_one_job else f"/{name}"

    def request(self, name: str, given: Mapping[str, Any]) -> dict[str, Any]:
        """The request for the service. Raises `UsageError` for a field that is unknown or missing."""
        for known in given:
            if known not in self.fields:
                there = ", ".join(self.fields) or "none"
                raise UsageError(f"{known[:40]} is no field of {name}", remedy=f"there are: {there}")
        for missing in self.needed:
            if missing not in given:
                raise UsageError(f"{missing} is missing", remedy=f"give {missing}")
        return {
            "do": name,
            **{field: _as_described(field, value, self.fields[field]) for field, value in given.items()},
        }


OPERATIONS: Mapping[str, Operation] = {
    "pause": Operation(
        "Start no more work until resume; the running job ends at its next segment and keeps what it has",
        "Paused.",
        {"reason": {"type": "string", "maxLength": 200, "description": "shown to whoever looks"}},
    ),
    "resume": Operation("Let work go on", "Work goes on."),
    "retry": Operation(
        "Queue failed, incomplete or skipped jobs again, with fresh attempts",
        "Queued again.",
        {"jobs": {**JOBS, "type": ["array", "null"], "description": "numbers of jobs; null: every failed one"}},
        ("jobs",),
    ),
    "cancel": Operation(
        "End jobs that are not delivered yet; the source stays, and retry queues them again",
        "Cancelled.",
        {"jobs": JOBS},
        ("jobs",),
    ),
    "front": Operation(
        "Move queued jobs to the front, in the order given", "Moved to the front.", {"jobs": JOBS}, ("jobs",)
    ),
    "priority": Operation(
        "Give jobs a priority: the highest comes first, 0 is usual",
        "Priority changed.",
        {"jobs": JOBS, "priority": {"type": "integer", "minimum": -1_000_000, "maximum": 1_000_000}},
        ("jobs", "priority"),
    ),
    "preview": Operation(
        "Make a preview of a job that is queued, failed or incomplete; GET /jobs/{job} tells when it is ready",
        "The preview is being made.",
        {"job": {**JOBS["items"], "description": "number of a job"}},
        ("job",),
        of_one_job=True,
    ),
}


def _as_described(name: str, value: Any, schema: Mapping[str, Any]) -> Any:
    """`value` with 7.0 made 7, as JSON has it. Raises `UsageError` for a text that is none or too long; numbers are the
    service's to judge.
    """
    if schema["type"] == "string" and not (isinstance(value, str) and len(value) <= schema["maxLength"]):
        raise UsageError(f"{name} is a text", remedy=f"at most {schema['maxLength']} letters")
    if isinstance(value, list):
        return [_whole_if_it_is(entry) for entry in value]
    return _whole_if_it_is(value)


def _whole_if_it_is(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def from_form(name: str, form: Mapping[str, list[str]]) -> dict[str, Any]:
    """The request that a form of the page stands for. Raises `UsageError`."""
    given: dict[str, Any] = {}
    try:
        if "job" in form and OPERATIONS[name].of_one_job:
            given["job"] = int(form["job"][0])
        elif "job" in form:
            given["jobs"] = [int(number) for number in form["job"]]
        if "priority" in form:
            given["priority"] = int(form["priority"][0])
    except ValueError as error:
        raise UsageError("that is no whole number", remedy="give a number") from error
    if name == "retry" and "all" in form:
        given["jobs"] = None
    if form.get("reason", [""])[0]:
        given["reason"] = form["reason"][0]
    return OPERATIONS[name].request(name, given)
