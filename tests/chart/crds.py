"""Schemas of the Prometheus operator's kinds, as far as the chart uses them; nothing else is allowed in them."""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

DURATION = {"type": "string", "pattern": "^([0-9]+(ms|s|m|h|d))+$"}
LABELS = {"type": "object", "additionalProperties": {"type": "string"}}


def closed(required: list[str], **properties: Schema) -> Schema:
    """An object with these properties and no others."""
    return {"type": "object", "additionalProperties": False, "required": required, "properties": properties}


def custom(kind: str, spec: Schema) -> Schema:
    """An object of the operator's."""
    return closed(
        ["apiVersion", "kind", "metadata", "spec"],
        apiVersion={"const": "monitoring.coreos.com/v1"},
        kind={"const": kind},
        metadata=closed(["name"], name={"type": "string"}, labels=LABELS),
        spec=spec,
    )


ENDPOINT = closed(["port"], port={"type": "string"}, path={"type": "string", "pattern": "^/"}, interval=DURATION)
RECORD = closed(["record", "expr"], record={"type": "string"}, expr={"type": "string"}, labels=LABELS)
ALERT = closed(
    ["alert", "expr"],
    alert={"type": "string"},
    expr={"type": "string"},
    **{"for": DURATION, "keep_firing_for": DURATION},
    labels=LABELS,
    annotations=LABELS,
)
GROUP = closed(
    ["name", "rules"],
    name={"type": "string"},
    interval=DURATION,
    rules={"type": "array", "minItems": 1, "items": {"anyOf": [RECORD, ALERT]}},
)

CRDS = {
    "ServiceMonitor": custom(
        "ServiceMonitor",
        closed(
            ["selector", "endpoints"],
            selector=closed(["matchLabels"], matchLabels={**LABELS, "minProperties": 1}),
            endpoints={"type": "array", "minItems": 1, "items": ENDPOINT},
        ),
    ),
    "PrometheusRule": custom(
        "PrometheusRule", closed(["groups"], groups={"type": "array", "minItems": 1, "items": GROUP})
    ),
}
