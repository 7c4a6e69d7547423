"""A real Chromium, driven over its DevTools protocol."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from websockets.sync.client import connect


class Browser:
    """One page. `errors` collects what it complains of, `asked` the addresses of its requests."""

    def __enter__(self) -> Self:
        program = shutil.which("chromium")
        assert program, "chromium is missing (Debian: apt-get install chromium)"
        self._folder = tempfile.mkdtemp(prefix="chromium-")
        argv = [
            program,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--remote-debugging-port=0",
            "--no-first-run",
            f"--user-data-dir={self._folder}",
            "about:blank",
        ]
        self._process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        told = Path(self._folder) / "DevToolsActivePort"
        for _ in range(400):
            if told.exists() and told.read_text().count("\n"):
                break
            time.sleep(0.05)
        port, path = told.read_text().split("\n")[:2]
        self._stack = ExitStack()
        self._wire = self._stack.enter_context(
            connect(f"ws://127.0.0.1:{port}{path}", max_size=None)
        )
        self._number = 0
        self.errors = list[str]()
        self.asked = list[str]()
        self._session = ""
        (target,) = [
            t for t in self.call("Target.getTargets")["targetInfos"] if t["type"] == "page"
        ]
        attached = self.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()
        self._process.kill()
        self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        self._wire.send(
            json.dumps({**message, "sessionId": self._session} if self._session else message)
        )
        while True:
            found = json.loads(self._wire.recv(timeout=30))
            if found.get("id") == self._number:
                assert "error" not in found, found
                result: dict[str, Any] = found["result"]
                return result
            self._event(found)

    def _event(self, event: dict[str, Any]) -> None:
        what = event.get("method")
        said = event.get("params", {})
        if what == "Runtime.exceptionThrown":
            self.errors.append(
                said["exceptionDetails"].get("exception", {}).get("description", "exception")
            )
        elif what == "Log.entryAdded" and said["entry"]["level"] == "error":
            self.errors.append(said["entry"]["text"])
        elif what == "Network.requestWillBeSent":
            self.asked.append(said["request"]["url"])

    def open(self, url: str) -> None:
        self.call("Page.navigate", url=url)
        for _ in range(200):
            if (
                self.run("document.readyState") == "complete"
                and self.run("location.href") != "about:blank"
            ):
                return
            time.sleep(0.05)

    def run(self, script: str) -> Any:
        found = self.call(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def until(self, script: str, seconds: float = 10.0) -> None:
        """Until it is true."""
        for _ in range(int(seconds * 20)):
            if self.run(script):
                return
            time.sleep(0.05)
        raise AssertionError(f"never: {script}")

    def size(self, width: int, height: int) -> None:
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    def dark(self) -> None:
        self.call(
            "Emulation.setEmulatedMedia",
            features=[{"name": "prefers-color-scheme", "value": "dark"}],
        )

    def shot(self, path: str | Path) -> None:
        Path(path).write_bytes(base64.b64decode(self.call("Page.captureScreenshot")["data"]))
