"""Who takes the audit log and the traces: Loki, Elasticsearch, a collector of OpenTelemetry."""

from __future__ import annotations

from llmops_cli.deploy.knob import Manifest

AUDIT = "/var/lib/llmops/audit.jsonl"


def promtail() -> Manifest:
    """Its labels have few values; the rest of a line is read when it is looked for."""
    return {
        "server": {"http_listen_port": 9080, "grpc_listen_port": 0},
        "positions": {"filename": "/var/lib/promtail/positions.yaml"},
        "clients": [{"url": "http://loki:3100/loki/api/v1/push"}],
        "scrape_configs": [
            {
                "job_name": "llmops-audit",
                "static_configs": [
                    {
                        "targets": ["localhost"],
                        "labels": {"job": "llmops-audit", "__path__": AUDIT},
                    }
                ],
                "pipeline_stages": [
                    {"json": {"expressions": {"model": "model", "status": "status"}}},
                    {"labels": {"model": None, "status": None}},
                ],
            }
        ],
    }


def filebeat() -> Manifest:
    return {
        "filebeat.inputs": [
            {
                "type": "filestream",
                "id": "llmops-audit",
                "paths": [AUDIT],
                "parsers": [{"ndjson": {"target": "llmops", "add_error_key": True}}],
            }
        ],
        "output.elasticsearch": {
            "hosts": ["${ELASTICSEARCH_URL}"],
            "api_key": "${ELASTICSEARCH_API_KEY}",
            "index": "llmops-audit-%{+yyyy.MM.dd}",
        },
        "setup.ilm.enabled": False,
        "setup.template": {"name": "llmops-audit", "pattern": "llmops-audit-*"},
    }


def collector() -> Manifest:
    """The gateway sends its spans here: `traces: http://collector:4318`."""
    return {
        "receivers": {"otlp": {"protocols": {"http": {"endpoint": "0.0.0.0:4318"}}}},
        "processors": {
            "memory_limiter": {"check_interval": "1s", "limit_mib": 400},
            "batch": {"timeout": "5s"},
        },
        "exporters": {
            "otlphttp": {
                "endpoint": "${env:OTLP_ENDPOINT}",
                "headers": {"authorization": "${env:OTLP_AUTHORIZATION}"},
            }
        },
        "service": {
            "pipelines": {
                "traces": {
                    "receivers": ["otlp"],
                    "processors": ["memory_limiter", "batch"],
                    "exporters": ["otlphttp"],
                }
            }
        },
    }
