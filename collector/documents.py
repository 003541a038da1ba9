"""What OpenAPI says of the ingest API: the bodies are read without FastAPI's models, so they are described here."""

from __future__ import annotations

from typing import Any, Final

from remora.refusals import EVERYWHERE, refusals

__all__ = ["ASIDE", "BATCH", "COLLECTORS", "EVENTS", "EXCHANGES", "LABELS", "PREDICTIONS", "STATUS"]

_NAME: Final = {"type": "string", "minLength": 1, "maxLength": 128}
_KEY: Final = {"anyOf": [_NAME, {"type": "integer"}]}
_INSTANT: Final = {"type": "string", "format": "date-time", "description": "RFC 3339 with a time zone"}
_SCALAR: Final = {"type": ["string", "number", "boolean", "null"]}

_PREDICTION: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["model", "features"],
    "additionalProperties": False,
    "properties": {
        "model": _NAME,
        "version": {"type": "string", "maxLength": 128},
        "id": {**_KEY, "description": "generated where it is missing"},
        "timestamp": {**_INSTANT, "description": "event time; the time of arrival where it is missing"},
        "features": {"type": "object", "additionalProperties": _SCALAR, "maxProperties": 1000},
        "prediction": _SCALAR,
        "scores": {
            "anyOf": [
                {"type": "number"},
                {"type": "object", "additionalProperties": {"type": "number"}},
                {"type": "null"},
            ],
            "description": "the probability of the positive class, or one number per class",
        },
        "latency_ms": {"type": ["number", "null"], "minimum": 0},
        "status": {"type": "integer", "minimum": 100, "maximum": 599, "default": 200},
        "tags": {"type": "object", "additionalProperties": {"type": "string", "maxLength": 128}},
    },
    "example": {
        "model": "fraud",
        "id": "42",
        "features": {"amount": 12.5, "country": "DE"},
        "prediction": False,
        "scores": 0.03,
    },
}
_LABEL: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["model", "id", "label"],
    "additionalProperties": False,
    "properties": {
        "model": _NAME,
        "id": {**_KEY, "description": "the prediction's id"},
        "label": {"type": ["string", "number", "boolean"]},
        "timestamp": {**_INSTANT, "description": "when it became known; the newest label of an id holds"},
    },
    "example": {"model": "fraud", "id": "42", "label": True},
}
_SIDE: Final[dict[str, Any]] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "headers": {
            "type": "object",
            "additionalProperties": {"type": "string"},
            "description": "those that say how to read the body, as content-type",
        },
        "body": {"type": "string", "contentEncoding": "base64"},
        "cut": {"type": "boolean", "description": "the body is not whole"},
    },
}
_EXCHANGE: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["model", "request"],
    "additionalProperties": False,
    "properties": {
        "model": _NAME,
        "version": {"type": "string", "maxLength": 128},
        "id": {
            "type": "string",
            "description": "generated where it is missing; rows get `-0`, `-1`, ... behind it",
        },
        "started": _INSTANT,
        "latency_ms": {"type": ["number", "null"], "minimum": 0},
        "status": {"type": "integer", "minimum": 100, "maximum": 599, "default": 200},
        "path": {"type": "string"},
        "request": _SIDE,
        "answer": {"anyOf": [_SIDE, {"type": "null"}]},
        "tags": {"type": "object", "additionalProperties": {"type": "string", "maxLength": 128}},
    },
    "example": {
        "model": "fraud",
        "path": "/predict",
        "request": {"headers": {"content-type": "application/json"}, "body": "eyJhbW91bnQiOiAxMi41fQ=="},
        "answer": {"headers": {"content-type": "application/json"}, "body": "eyJwcmVkaWN0aW9uIjogZmFsc2V9"},
    },
}
_REPORT: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["id", "host", "model", "version", "started_at", "counters"],
    "properties": {
        "id": _NAME,
        "host": _NAME,
        "model": {"type": "string", "maxLength": 128},
        "version": {**_NAME, "description": "of Remora"},
        "started_at": _INSTANT,
        "counters": {"type": "object", "additionalProperties": {"type": "number"}, "maxProperties": 100},
    },
}
_REJECTED: Final = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["index", "error"],
        "properties": {"index": {"type": "integer"}, "error": {"type": "string"}},
    },
}
_TAKEN: Final = {
    "type": "object",
    "required": ["accepted", "rejected"],
    "properties": {"accepted": {"type": "integer"}, "rejected": _REJECTED},
}
_ASIDE: Final = {
    "type": "object",
    "required": ["aside", "next"],
    "properties": {
        "aside": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["batch", "records", "at", "reason"],
                "properties": {
                    "batch": {"type": "string"},
                    "records": {"type": "integer"},
                    "at": {"type": "number", "description": "seconds since 1970"},
                    "reason": {"type": "string"},
                },
            },
        },
        "next": {
            "type": ["integer", "null"],
            "description": "`before` of the next page; null: this is the last",
        },
    },
}
_REFUSALS: Final = refusals(*EVERYWHERE, 408, 413, 415)


def _answers(taken: dict[str, Any]) -> dict[int | str, dict[str, Any]]:
    on_disk = {"description": "On disk; delivered soon.", "content": {"application/json": {"schema": taken}}}
    return {202: on_disk, **_REFUSALS}


def _document(summary: str, record: dict[str, Any]) -> dict[str, Any]:
    one_or_many = {"anyOf": [record, {"type": "array", "items": record}]}
    return {
        "summary": summary,
        "responses": _answers(_TAKEN),
        "openapi_extra": {
            "requestBody": {
                "required": True,
                "description": "One object, an array, or one object per line; gzip is allowed.",
                "content": {
                    "application/json": {"schema": one_or_many},
                    "application/x-ndjson": {"schema": {"type": "string"}},
                },
            }
        },
    }


PREDICTIONS: Final = _document("Log predictions", _PREDICTION)
EXCHANGES: Final = _document("Log requests and answers as they were on the wire", _EXCHANGE)
LABELS: Final = _document("Tell what turned out to be true", _LABEL)
BATCH: Final[dict[str, Any]] = {
    "summary": "Take a batch from another collector, once per id",
    "responses": _answers(
        {
            "type": "object",
            "required": ["accepted", "new"],
            "properties": {"accepted": {"type": "integer"}, "new": {"type": "boolean"}},
        }
    ),
    "openapi_extra": {
        "requestBody": {
            "required": True,
            "content": {
                "application/msgpack": {"schema": {"type": "string", "format": "binary"}},
                "application/json": {
                    "schema": {
                        "type": "object",
                        "required": ["id", "source"],
                        "properties": {
                            "id": {"type": "string", "minLength": 1, "maxLength": 200},
                            "source": {"type": "string"},
                            "predictions": {"type": "array", "items": _PREDICTION},
                            "labels": {"type": "array", "items": _LABEL},
                        },
                    }
                },
            },
        }
    },
}
EVENTS: Final[dict[str, Any]] = {
    "summary": "Take CloudEvents of KServe's or Seldon's logger: binary, structured or batched",
    "responses": _answers(
        {
            "type": "object",
            "required": ["accepted", "repeated", "records", "rejected"],
            "properties": {
                "accepted": {"type": "integer"},
                "repeated": {"type": "integer", "description": "events that were there before"},
                "records": {
                    "type": "integer",
                    "description": "made now; an event that waits for its pair makes none",
                },
                "rejected": _REJECTED,
            },
        }
    ),
    "openapi_extra": {
        "requestBody": {
            "required": True,
            "content": {
                "*/*": {"schema": {"type": "string", "format": "binary"}},
                "application/cloudevents+json": {"schema": {"type": "object"}},
                "application/cloudevents-batch+json": {
                    "schema": {"type": "array", "items": {"type": "object"}}
                },
            },
        }
    },
}
COLLECTORS: Final[dict[str, Any]] = {
    "summary": "Take what other collectors say about themselves, for the table `collectors`",
    "responses": _answers(
        {"type": "object", "required": ["accepted"], "properties": {"accepted": {"type": "integer"}}}
    ),
    "openapi_extra": {
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"type": "array", "items": _REPORT}}},
        }
    },
}
ASIDE: Final[dict[str, Any]] = {
    "summary": "Batches that were set aside and why, the newest first; never what is in them",
    "responses": {
        200: {"description": "A page.", "content": {"application/json": {"schema": _ASIDE}}},
        **refusals(422),
    },
}
STATUS: Final[dict[str, Any]] = {
    "summary": "How many records were accepted, are delivered, still wait, were set aside and why, and the balance of all stages",
}
