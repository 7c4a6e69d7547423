"""Ways into the cluster, which must pass tokens one by one and wait for long answers."""

from __future__ import annotations

from llmops_cli.deploy.knob import Knob, Manifest
from llmops_cli.deploy.kubernetes.metadata import resource
from llmops_cli.deploy.setting import Setting

NGINX = "nginx.ingress.kubernetes.io"


def http_route(setting: Setting) -> Manifest:
    """Of the Gateway API; the Gateway itself is the cluster's."""
    name = setting.label("gateway")
    return resource(
        setting,
        "HTTPRoute",
        name,
        api="gateway.networking.k8s.io/v1",
        part="gateway",
        spec={
            "parentRefs": [{"name": Knob("public", "the cluster's Gateway", "route.gateway")}],
            "hostnames": [Knob(setting.recipe.host, path="route.host")],
            "rules": [
                {
                    "matches": [{"path": {"type": "PathPrefix", "value": "/v1"}}],
                    "timeouts": {
                        "request": Knob(
                            f"{setting.wait_s}s", "the longest timeouts.total_s, and 30 s"
                        )
                    },
                    "backendRefs": [{"name": name, "port": 80}],
                }
            ],
        },
    )


def ingress(setting: Setting) -> Manifest:
    """Of ingress-nginx, which by default holds answers back and hangs up after 60 s."""
    name = setting.label("gateway")
    host = Knob(setting.recipe.host, path="route.host")
    body_mb = -(-setting.config.limits.upload_bytes // (1 << 20))
    annotations = {
        f"{NGINX}/proxy-buffering": "off",
        f"{NGINX}/proxy-request-buffering": "off",
        f"{NGINX}/proxy-http-version": "1.1",
        f"{NGINX}/proxy-read-timeout": Knob(str(setting.wait_s), "the longest timeouts.total_s"),
        f"{NGINX}/proxy-send-timeout": str(setting.wait_s),
        f"{NGINX}/proxy-body-size": Knob(f"{body_mb}m", "limits.upload_bytes"),
        f"{NGINX}/proxy-next-upstream": Knob("off", "the gateway retries itself"),
    }
    backend = {"service": {"name": name, "port": {"name": "http"}}}
    path = {"path": "/v1", "pathType": "Prefix", "backend": backend}
    return resource(
        setting,
        "Ingress",
        name,
        api="networking.k8s.io/v1",
        part="gateway",
        annotations=annotations,
        spec={
            "ingressClassName": Knob("nginx", path="route.ingressClass"),
            "tls": [{"hosts": [host], "secretName": setting.label("tls")}],
            "rules": [{"host": host, "http": {"paths": [path]}}],
        },
    )
