"""The rendered pods of gateway, engine and Redis built, played and changed here, under streams.

    python benchmarks/containers.py --work DIR [--streams 24] [--models DIR]

Images are built by `llmops deploy image` on a Debian base made by mmdebstrap; podman plays what
`llmops deploy render` wrote for one machine. Then, while streams run: another engine comes and the
first is ended as a kubelet ends it (told to, with the rendered grace period, in the moment in which
it leaves the list of members); a gateway follows another; at last an engine is killed. Needs root
and mmdebstrap, buildah, podman and runc. A base that is there is not made again.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

TOOLS = ("mmdebstrap", "buildah", "podman", "runc")
READY_S = 300
BASE = "localhost/llmops-base:1"
REDIS = "localhost/llmops-redis:1"
GATEWAY = "localhost/llmops-gateway:trial"
ENGINE = "localhost/llmops-llamacpp:trial"
PACKAGES = "python3,python3-venv,ca-certificates"
SOURCES = Path("/etc/apt/sources.list.d/debian.sources")
CONTAINERS = """
[containers]
default_ulimits = ["nofile=20000:20000", "nproc=1024:1024"]
[engine]
cgroup_manager = "cgroupfs"
runtime = "runc"
"""
GATEWAY_FILE = """
upstreams:
  chat: {engine: llamacpp, model: demo, options: {max_model_len: 512, max_num_seqs: 16}}
models:
  assistant: {pool: [{upstream: chat, model: demo}]}
"""
REDIS_FILE = f"""
FROM {BASE}
RUN apt-get update && apt-get install -y --no-install-recommends redis-server
RUN install -d -o 999 -g 999 /data
"""
PORT = 8080
ENGINE_PORT = 8001
SECOND = 10
"""Is added to the port of who follows."""
PROMPT = "Tell me a long story about a lighthouse. " * 2
TOKENS = 320
Json = dict[str, Any]


def run(*argv: object, **more: Any) -> str:
    """Its stdout. Raises: SystemExit with what it said, if it failed."""
    done = subprocess.run(
        [str(each) for each in argv],
        capture_output=True,
        text=True,
        check=False,
        timeout=1800,
        **more,
    )
    if done.returncode:
        why = (done.stderr or done.stdout)[-1500:]
        raise SystemExit(f"{' '.join(map(str, argv[:5]))}: exit {done.returncode}\n{why}")
    said: str = done.stdout
    return said


def told(what: str, started_s: float) -> None:
    took_s = time.monotonic() - started_s
    print(f"{what}: {took_s:.1f} s", file=sys.stderr, flush=True)


# -- images
# -----------------------------------------------------------------------------------


def has(image: str) -> bool:
    argv = ["podman", "image", "exists", image]
    return subprocess.run(argv, check=False).returncode == 0


def make_base(work: Path) -> None:
    started_s = time.monotonic()
    tar = work / "base.tar"
    argv = ["mmdebstrap", "--variant=minbase", f"--include={PACKAGES}", "bookworm", tar, SOURCES]
    run(*argv)
    run("podman", "import", tar, BASE)
    tar.unlink()
    told(f"base {size_mb(BASE):.0f} MB", started_s)


def make_redis(work: Path) -> None:
    folder = work / "redis"
    folder.mkdir(exist_ok=True)
    (folder / "Containerfile").write_text(REDIS_FILE)
    run("buildah", "build", "--isolation", "chroot", "-t", REDIS, folder)


def make_ours(work: Path, name: str, tag: str, *options: object) -> None:
    started_s = time.monotonic()
    argv = [sys.executable, "-m", "llmops_cli", "deploy", "image", "--for", name]
    run(*argv, "--base", BASE, "--tag", tag, "-o", work / f"image-{name}", *options)
    told(f"image of {name} {size_mb(tag):.0f} MB", started_s)


def wheels(work: Path, name: str) -> Path:
    """All that an image needs: llama.cpp comes from pip's cache, where it was compiled before.

    Also what only the image's older Python wants.
    """
    folder = work / f"wheels-{name}"
    argv = [sys.executable, "-m", "llmops_cli", "deploy", "image", "--for", name, "--emit"]
    run(*argv, "-o", work / f"emitted-{name}")
    listed = (work / f"emitted-{name}" / "requirements.txt").read_text()
    needed = work / f"wheels-{name}.txt"
    needed.write_text("\n".join(line.partition(";")[0] for line in listed.splitlines()))
    run(sys.executable, "-m", "pip", "wheel", "-q", "-w", folder, "-r", needed)
    return folder


def size_mb(image: str) -> float:
    return int(run("podman", "image", "inspect", "--format", "{{.Size}}", image)) / 1e6


def images(work: Path) -> None:
    if not has(BASE):
        make_base(work)
    if not has(REDIS):
        make_redis(work)
    make_ours(work, "gateway", GATEWAY, "--wheels", wheels(work, "gateway"))
    make_ours(work, "llamacpp", ENGINE, "--wheels", wheels(work, "llamacpp"))


# -- pods
# -----------------------------------------------------------------------------------


def rendered(work: Path, models: Path) -> dict[str, Json]:
    """By part: the objects of the local overlay, the engine found by a list of members."""
    (work / "gateway.yaml").write_text(GATEWAY_FILE)
    argv = [sys.executable, "-m", "llmops_cli", "deploy", "render", work / "gateway.yaml"]
    argv += ["-o", work / "rendered", "--models", f"host:{models}", "--force"]
    for name, image in (("gateway", GATEWAY), ("chat", ENGINE), ("redis", REDIS)):
        argv += ["--image", f"{name}={image}"]
    run(*argv)
    text = (work / "rendered" / "overlays" / "local" / "pods.yaml").read_text()
    objects = list(yaml.safe_load_all(text))
    found = {each["metadata"]["name"]: each for each in objects if each["kind"] == "Deployment"}
    (config,) = [each for each in objects if each["kind"] == "ConfigMap"]
    file = yaml.safe_load(config["data"]["gateway.yaml"])
    listed = {"file": "/members/members.json", "path": "/v1", "networks": ["127.0.0.0/8"]}
    file["upstreams"]["chat"] = {"discover": listed}
    config["data"]["gateway.yaml"] = yaml.safe_dump(file)
    pod = found["llmops-gateway"]["spec"]["template"]["spec"]
    place = {"path": str(work / "members"), "type": "Directory"}
    pod["volumes"].append({"name": "members", "hostPath": place})
    mount = {"name": "members", "mountPath": "/members", "readOnly": True}
    pod["containers"][0]["volumeMounts"].append(mount)
    return {"config": config, **found}


def follower(deployment: Json, port: int) -> Json:
    """The same Deployment under another name, on another port."""
    found: Json = json.loads(json.dumps(deployment))
    found["metadata"]["name"] += "-2"
    for container in found["spec"]["template"]["spec"]["containers"]:
        renamed = {str(port): str(port + SECOND)}
        container["args"] = [renamed.get(each, each) for each in container["args"]]
    return found


class Pods:
    """What podman plays of ours, for as long as this lives."""

    def __init__(self, work: Path, config: Json) -> None:
        self.work = work
        self.config = config
        self.played: list[Path] = []

    def play(self, deployment: Json, port: int, path: str) -> float:
        """Seconds until it is ready."""
        started_s = time.monotonic()
        file = self.work / f"{deployment['metadata']['name']}.yaml"
        file.write_text(yaml.safe_dump_all([self.config, deployment]))
        self.played.append(file)
        run("podman", "kube", "play", file)
        while answer(port, path) != 200:
            if time.monotonic() - started_s > READY_S:
                raise SystemExit(f"{file.name} is not ready: {self.logs(deployment)}")
            time.sleep(0.1)
        return time.monotonic() - started_s

    def pod(self, deployment: Json) -> str:
        """Newer podmans leave out the number of the replica."""
        prefix = f"{deployment['metadata']['name']}-pod"
        names = run("podman", "pod", "ps", "--format", "{{.Name}}").split()
        (name,) = [each for each in names if each.startswith(prefix)]
        return str(name)

    def logs(self, deployment: Json) -> str:
        argv = ["podman", "pod", "logs", self.pod(deployment)]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        return (done.stdout + done.stderr)[-1500:]

    def end(self, deployment: Json) -> float:
        """As a kubelet does: told to end, killed after the rendered grace period."""
        grace_s = deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
        started_s = time.monotonic()
        run("podman", "pod", "stop", "-t", grace_s, self.pod(deployment))
        return time.monotonic() - started_s

    def kill(self, deployment: Json) -> None:
        run("podman", "pod", "kill", self.pod(deployment))

    def down(self) -> None:
        for file in self.played:
            argv = ["podman", "kube", "down", str(file)]
            subprocess.run(argv, capture_output=True, check=False, timeout=120)


def answer(port: int, path: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except OSError:
        return 0
    finally:
        connection.close()


def members(work: Path, *ports: int) -> None:
    listed = [{"targets": [f"127.0.0.1:{port}" for port in ports]}]
    temporary = work / "members" / "next.json"
    temporary.write_text(json.dumps(listed))
    temporary.replace(work / "members" / "members.json")


# -- streams
# -----------------------------------------------------------------------------------


class Streams:
    """Streams one after the other in each of so many threads; how each of them ended."""

    def __init__(self, key: str) -> None:
        self.door = (PORT, key)
        self.ends: Counter[str] = Counter()
        self.is_over = threading.Event()

    def one(self) -> str:
        port, key = self.door
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        body = {
            "model": "assistant",
            "messages": [{"role": "user", "content": PROMPT}],
            "max_tokens": TOKENS,
            "ignore_eos": True,
            "stream": True,
        }
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        try:
            connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)
            response = connection.getresponse()
            text = response.read().decode(errors="replace")
        except (OSError, http.client.HTTPException) as error:
            return type(error).__name__
        finally:
            connection.close()
        if response.status != 200:
            return f"{response.status} {text[:200]}"
        return "whole" if "data: [DONE]" in text and '"error"' not in text else "cut"

    def keep_on(self) -> None:
        while not self.is_over.is_set():
            self.ends[self.one()] += 1

    @contextmanager
    def under_way(self, streams: int) -> Iterator[None]:
        threads = [threading.Thread(target=self.keep_on) for _ in range(streams)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self.is_over.set()
            for thread in threads:
                thread.join()
            self.is_over.clear()


def during(streams: Streams, at_once: int, name: str, change: Callable[[], str]) -> Json:
    streams.ends.clear()
    with streams.under_way(at_once):
        time.sleep(5)
        said = change()
        time.sleep(5)
    print(f"{name}: {said}; streams: {dict(streams.ends)}", file=sys.stderr, flush=True)
    return dict(streams.ends)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--models", type=Path, required=True, help="a folder with demo.gguf")
    parser.add_argument("--streams", type=int, default=24)
    args = parser.parse_args()
    missing = [each for each in TOOLS if shutil.which(each) is None]
    if missing:
        raise SystemExit(f"missing: {', '.join(missing)} (apt-get install {' '.join(missing)})")
    work = args.work.resolve()
    (work / "members").mkdir(parents=True, exist_ok=True)
    (work / "containers.conf").write_text(CONTAINERS)
    os.environ["CONTAINERS_CONF"] = str(work / "containers.conf")
    images(work)
    parts = rendered(work, args.models.resolve())
    pods = Pods(work, parts["config"])
    try:
        found = trial(work, parts, pods, args.streams)
    finally:
        pods.down()
    print(json.dumps(found))


def trial(work: Path, parts: dict[str, Json], pods: Pods, at_once: int) -> Json:
    """How the streams under each change ended, and who of Redis' clients there was."""
    gateway = parts["llmops-gateway"]
    first = parts["llmops-chat"]
    second = follower(first, ENGINE_PORT)
    next_gateway = follower(gateway, PORT)
    file = work / "llmops-redis.yaml"
    file.write_text(yaml.safe_dump(parts["llmops-redis"]))
    pods.played.append(file)
    run("podman", "kube", "play", file)
    members(work, ENGINE_PORT)
    engine_s = pods.play(first, ENGINE_PORT, "/health")
    gateway_s = pods.play(gateway, PORT, "/ready")
    ready = f"engine ready after {engine_s:.1f} s, gateway after {gateway_s:.1f} s"
    print(ready, file=sys.stderr, flush=True)
    streams = Streams(new_key(pods.pod(gateway)))
    found: Json = {"a streamed answer": {streams.one(): 1}}
    redis = pods.pod(parts["llmops-redis"])
    kept = run("podman", "exec", f"{redis}-redis", "redis-cli", "dbsize")
    found["kept in Redis"] = int(kept)

    def another_engine() -> str:
        ready_s = pods.play(second, ENGINE_PORT + SECOND, "/health")
        members(work, ENGINE_PORT + SECOND)
        return f"second ready after {ready_s:.1f} s, first ended after {pods.end(first):.1f} s"

    found["another engine"] = during(streams, at_once, "another engine", another_engine)

    def another_gateway() -> str:
        ready_s = pods.play(next_gateway, PORT + SECOND, "/ready")
        streams.door = (PORT + SECOND, new_key(pods.pod(next_gateway)))
        return f"second ready after {ready_s:.1f} s, first ended after {pods.end(gateway):.1f} s"

    found["another gateway"] = during(streams, at_once, "another gateway", another_gateway)

    def killed() -> str:
        run("podman", "kube", "down", work / "llmops-chat.yaml")
        back_s = pods.play(first, ENGINE_PORT, "/health")
        members(work, ENGINE_PORT, ENGINE_PORT + SECOND)
        time.sleep(8)
        pods.kill(second)
        return f"first back after {back_s:.1f} s, second killed"

    found["an engine killed"] = during(streams, at_once, "an engine killed", killed)
    found["after that"] = {streams.one(): 1}
    return found


def new_key(pod: str) -> str:
    argv = ["podman", "exec", f"{pod}-gateway", "/opt/llmops/bin/python", "-m", "llmops_cli"]
    made = run(*argv, "keys", "create", "--name", pod, "--json")
    key: str = json.loads(made)["key"]
    return key


if __name__ == "__main__":
    main()
