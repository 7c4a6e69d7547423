"""nginx before a gateway: tokens pass one by one, and long answers are waited for."""

from __future__ import annotations

from llmops_cli.deploy.kubernetes.gateway import PORT
from llmops_cli.deploy.setting import Setting

TEMPLATE = """\
# nginx before the gateway. TLS: a certificate of yours in place of the plain port.
worker_processes auto;
pid /tmp/nginx.pid;
error_log stderr warn;

events {
  worker_connections 4096;
}

http {
  access_log off;
  client_body_temp_path /tmp/nginx-body;
  proxy_temp_path /tmp/nginx-proxy;
  fastcgi_temp_path /tmp/nginx-fastcgi;
  uwsgi_temp_path /tmp/nginx-uwsgi;
  scgi_temp_path /tmp/nginx-scgi;

  upstream gateway {
    server %(gateway)s;
    keepalive 64;
  }

  server {
    listen 127.0.0.1:8088;
    server_name %(host)s;
    # the gateway's limits.upload_bytes
    client_max_body_size %(body_mb)dm;
    # packed answers come in one piece at their end
    gzip off;

    location /v1/ {
      proxy_pass http://gateway;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $host;
      proxy_set_header X-Forwarded-For $remote_addr;
      # tokens pass as they come
      proxy_buffering off;
      proxy_request_buffering off;
      # the longest timeouts.total_s of the file, and 30 s
      proxy_read_timeout %(wait_s)ds;
      proxy_send_timeout %(wait_s)ds;
      # the gateway retries itself
      proxy_next_upstream off;
    }
  }
}
"""


def nginx_config(setting: Setting) -> str:
    limits = setting.config.limits
    return TEMPLATE % {
        "gateway": f"127.0.0.1:{PORT}",
        "host": setting.recipe.host,
        "body_mb": -(-limits.upload_bytes // (1 << 20)),
        "wait_s": setting.wait_s,
    }
