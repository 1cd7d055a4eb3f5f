"""The pages: what runs, the queue, the history, one job; and the forms on them."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from daemon.history import ENDED
from daemon.previews import PREVIEWED
from daemon.web.events import shape_of
from daemon.web.guard import status_for, told
from daemon.web.opening import open_plain
from daemon.web.operations import OPERATIONS, from_form
from daemon.web.rendering import render
from daemon.web.visitors import comes_from_here, form_of, may_look, refusal, session_of, site_of
from daemon.web.words import now_words
from engine.errors import EnvironmentFault, KakudaiError, MissingInputError, UsageError

_A_PAGE = 50
_LARGEST_GLIMPSE = 1 << 20
_LONGEST_NOTE = 300
_MOST_NOTES = 200
_LONGEST_REPORT = 200_000
_BACK = re.compile(r"/(?:queue|history|jobs/\d{1,19})?(?:\?[\w=&%.+-]{0,500})?", re.ASCII)
"""Where a form may lead back to: our own pages."""


async def overview(request: Request) -> Response:
    """The first page."""
    if not may_look(request):
        return RedirectResponse("/enter", 303)
    site = site_of(request)
    state, places = await asyncio.gather(site.status(), site.ask(do="folders"))
    _raise(state)
    _raise(places)
    machine = await site.machine.look(places["places"])
    running = state["running"]
    return render(
        "overview.html",
        request,
        state=state,
        shape=shape_of(state),
        now=None if running is None else now_words(running),
        glimpse_size=_glimpse_size(running),
        folders=places["folders"],
        machine=machine,
        disks=_disks(machine),
    )


async def queue(request: Request) -> Response:
    """All that is queued, in pages."""
    if not may_look(request):
        return RedirectResponse("/enter", 303)
    page = _page(request)
    answer = _raise(await site_of(request).ask(do="queue", first=page * _A_PAGE, limit=_A_PAGE))
    more = (page + 1) * _A_PAGE < answer["total"]
    return render("queue.html", request, jobs=answer["jobs"], total=answer["total"], page=page, more=more, size=_A_PAGE)


async def history(request: Request) -> Response:
    """All that ended, in pages; by state, by a part of the name."""
    if not may_look(request):
        return RedirectResponse("/enter", 303)
    site = site_of(request)
    asked = request.query_params.get("state", "")
    search = request.query_params.get("search", "")[:200]
    states = [asked] if asked in ENDED else list(ENDED)
    after = request.query_params.get("after")
    answer = _raise(await site.ask(do="history", states=states, search=search, after=after, limit=_A_PAGE))
    state = _raise(await site.status())
    counts = {name: state["counts"].get(name, 0) for name in ENDED}
    return render(
        "history.html",
        request,
        jobs=answer["jobs"],
        next=answer["next"],
        first=after is None,
        search=search,
        chosen=asked if asked in ENDED else "",
        counts=counts,
    )


async def job(request: Request) -> Response:
    """One job: attempts, failure, report."""
    if not may_look(request):
        return RedirectResponse("/enter", 303)
    answer = _raise(await site_of(request).ask(do="job", job=request.path_params["job"]))
    text = json.dumps(answer["report"], indent=1, ensure_ascii=False)[:_LONGEST_REPORT]
    return render("job.html", request, **answer, report_text=text, may_preview=_may_preview(answer))


async def do(request: Request) -> Response:
    """A form: does it, then leads back to the page it was sent from."""
    session = session_of(request)
    if session is None:
        return refusal(request)
    form = await form_of(request)
    if not comes_from_here(request, form, session):
        return told("", 403, "this form was not sent by Kakudai's page", "load the page again and send it from there")
    name = request.path_params["operation"]
    if name not in OPERATIONS:
        raise MissingInputError(f"there is no operation {name[:40]}", remedy="begin at /")
    site = site_of(request)
    try:
        answer = await site.ask(**from_form(name, form))
        note = _note(name, answer)
    except KakudaiError as error:
        note = f"{error}; {error.remedy}"
    site.forget_status()
    if len(site.notes) >= _MOST_NOTES:
        site.notes.clear()
    site.notes[session] = note[:_LONGEST_NOTE]
    back = form.get("back", ["/"])[0]
    return RedirectResponse(back if _BACK.fullmatch(back) else "/", 303)


async def glimpse(request: Request) -> Response:
    """The running job's last look at its work. The path comes from the service, never from the address."""
    if not may_look(request):
        return refusal(request)
    answer = await site_of(request).ask(do="glimpse", job=request.path_params["job"])
    content = None if answer.get("path") is None else await asyncio.to_thread(_read_picture, answer["path"])
    if content is None:
        return told("", 404, "there is no look at this job now", "it comes back while an episode is enlarged")
    return Response(content, media_type="image/jpeg", headers={"Cache-Control": "private, max-age=60"})


def _read_picture(path: str) -> bytes | None:
    """A small JPEG, and nothing else: the process that wrote it works on hostile input."""
    file = open_plain(path)
    if file is None:
        return None
    with file:
        content = file.read(_LARGEST_GLIMPSE + 1)
    return content if content.startswith(b"\xff\xd8\xff") and len(content) <= _LARGEST_GLIMPSE else None


def _may_preview(answer: Mapping[str, Any]) -> bool:
    """Whether the button is there: the service judges, and knows whether the source is still as it was."""
    under_way = answer["preview"] is not None and answer["preview"]["state"] in ("waiting", "making")
    return answer["job"]["state"] in PREVIEWED and not answer["job"]["superseded"] and not under_way


def _disks(machine: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One for each disk, whatever lies on it; `places` in words."""
    together: dict[Any, dict[str, Any]] = {}
    for disk in machine["disks"]:
        key = disk["device"] if disk["device"] is not None else disk["place"]
        together.setdefault(key, {**disk, "places": []})["places"].append(disk["place"])
    return [{**disk, "places": ", ".join(disk["places"])} for disk in together.values()]


def _glimpse_size(running: Mapping[str, Any] | None) -> tuple[int, int]:
    """Width and height of one half, as `engine.glimpse` makes it (which loads OpenCV)."""
    width, _, height = ((running or {}).get("output_size") or "640x360").partition("x")
    return min(640, int(width)), min(360, int(height))


def _raise(answer: Mapping[str, Any]) -> Mapping[str, Any]:
    if "error" in answer:
        kind = {404: MissingInputError, 503: EnvironmentFault}.get(status_for(answer["exit_code"]), UsageError)
        raise kind(answer["error"], remedy=answer["remedy"])
    return answer


def _note(name: str, answer: Mapping[str, Any]) -> str:
    if "error" in answer:
        return f"{answer['error']}; {answer['remedy']}"
    refused = "; ".join(f"job {number}: {why}" for number, why in answer.get("refused", {}).items())
    if refused:
        return f"Not done: {refused}"
    return OPERATIONS[name].done


def _page(request: Request) -> int:
    text = request.query_params.get("page", "0")
    return int(text) if re.fullmatch(r"[0-9]{1,6}", text) else 0
