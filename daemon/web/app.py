"""The application: which address leads to what."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Route

from daemon.web import api, entrance, events, figures, pages, preview, static
from daemon.web.guard import Guard, on_error, on_fault, on_unknown, on_wrong_method
from daemon.web.site import Site
from engine.errors import KakudaiError


def make_app(site: Site) -> Starlette:
    """For one `site`. Every route checks for itself who may look or steer (`daemon.web.visitors`)."""
    app = Starlette(
        routes=[
            Route("/", pages.overview, name="overview"),
            Route("/queue", pages.queue),
            Route("/history", pages.history),
            Route("/jobs/{job:int}", pages.job),
            Route("/jobs/{job:int}/preview", preview.show),
            Route("/do/{operation}", pages.do, methods=["POST"]),
            Route("/enter", entrance.enter, methods=["GET", "POST"]),
            Route("/leave", entrance.leave, methods=["POST"]),
            Route("/events", events.stream),
            Route("/glimpse/{job:int}/{frame:int}.jpg", pages.glimpse),
            Route("/static/{name}", static.serve),
            Route("/healthz", figures.healthz),
            Route("/readyz", figures.readyz),
            Route("/metrics", figures.metrics),
            *api.ROUTES,
        ],
        middleware=[Middleware(Guard, access=site.access)],
        exception_handlers={KakudaiError: on_error, 404: on_unknown, 405: on_wrong_method, 500: on_fault},
    )
    app.state.site = site
    return app
