"""The two applications: the API, and `/metrics` alone for its own port."""

from __future__ import annotations

import logging

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from data_manager.http import (
    analysis,
    anomalies,
    audit,
    backfill,
    catalog,
    control,
    data,
    docs,
    events,
    gaps,
    health,
    ledger,
    metrics,
    quarantine,
    symbols,
    ui,
)
from data_manager.http.connection import Runner
from data_manager.http.cross_origin import CrossOrigin, preflight
from data_manager.http.middleware import boundary, name_request
from data_manager.http.ports import Services
from data_manager.http.rate_limit import limited
from data_manager.http.tracing import traced

# Those whose routes need nothing but the services; the others bring something of their own.
FAMILIES = (health, data, analysis, anomalies, catalog, gaps, ledger, backfill, audit, symbols, control)
OPERATIONS = tuple(operation for family in (*FAMILIES, quarantine, events, metrics) for operation in family.OPERATIONS)

BODY_MAX = 64 * 1024  # no route takes more
STOP_S = 1.0  # for requests under way to finish; aiohttp waits this long twice
IDLE_S = 30.0  # a connection that has not sent a whole request head by then is closed


class OurFaultsOnly(logging.Filter):
    """Drops what aiohttp logs of malformed requests: they are answered, and no scanner may fill the log."""

    def filter(self, record: logging.LogRecord) -> bool:
        """False for a record about a request that is not HTTP."""
        return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))


protocol_log = logging.getLogger("data_manager.http")
protocol_log.addFilter(OurFaultsOnly())


def application(services: Services) -> web.Application:
    """One without routes yet."""
    around = [traced(services.tracer)] if services.tracer.on else []
    inside = [limited(services)] if services.settings.api_rate_limit else []
    origins = services.settings.api_cors_origins
    if origins:
        inside.append(preflight)
    app = web.Application(middlewares=[*around, boundary(services), *inside], client_max_size=BODY_MAX)
    app.on_response_prepare.append(name_request)
    if origins:
        app.on_response_prepare.append(CrossOrigin(origins).mark)
    return app


def build_app(services: Services) -> web.Application:
    """The API on API_PORT."""
    app = application(services)
    for family in FAMILIES:
        app.add_routes(family.routes(services))
    app.add_routes(metrics.routes(services.system))
    app.add_routes(ui.routes())
    app.add_routes(docs.routes(OPERATIONS))
    quarantine.add_to(app, services)
    events.add_to(app, services)
    return app


def build_metrics_app(services: Services) -> web.Application:
    """What METRICS_PORT serves."""
    app = application(services)
    app.add_routes(metrics.routes(services.system))
    return app


def runner(app: web.Application) -> web.AppRunner:
    """How either is served: bounded waits, no line in the log per request."""
    return Runner(
        app,
        access_log=None,
        logger=protocol_log,
        handle_signals=False,
        keepalive_timeout=IDLE_S,
        shutdown_timeout=STOP_S,
        lingering_time=STOP_S,
    )
