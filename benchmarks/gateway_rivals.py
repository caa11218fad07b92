"""Other gateways in front of the same upstream: LiteLLM (Python) and Portkey (Node).

    python -m benchmarks.gateway_rivals

installs them (`make bench-peers`), each into a folder of its own; `benchmarks.gateway` measures those that are there.
Each is started as its documentation says for production, with one process, its logs off, and nothing else switched on.
"""

import json
import os
import socket
import subprocess
import tempfile
import time
import venv
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from benchmarks.http_load import LoadError, ask, connect

FOLDER: Final = Path(__file__).parents[1] / ".cache" / "peers"
_LITELLM: Final = FOLDER / "litellm" / "bin" / "litellm"
_PORTKEY: Final = FOLDER / "portkey" / "node_modules" / "@portkey-ai" / "gateway" / "build" / "start-server.js"
START_S: Final = 180.0
KEY: Final = "sk-bench-7f3c9a51d0e84b26"
"""What all requests of the benchmark show."""
PORTKEY: Final = {
    "private": True,
    "dependencies": {"@portkey-ai/gateway": "1.15.2"},
    # With a newer one this Portkey answers every stream with 500 ("immutable").
    "overrides": {"@hono/node-server": "1.3.3"},
}
LITELLM: Final = """
model_list:
  - model_name: m
    litellm_params: {{model: openai/m, api_base: "http://127.0.0.1:{port}/v1", api_key: sk-upstream}}
  - model_name: paced
    litellm_params: {{model: openai/paced, api_base: "http://127.0.0.1:{port}/v1", api_key: sk-upstream}}
litellm_settings: {{set_verbose: false, json_logs: false}}
"""


class RivalMissing(Exception):
    """It is not installed, or does not answer; the message says which."""


@dataclass(frozen=True, slots=True)
class Rival:
    """A gateway of another house. `command` gets the folder for its files, its port and the upstream's."""

    name: str
    program: Path
    install: Callable[[], None]
    command: Callable[[Path, int, int], list[str]]
    environment: Mapping[str, str] = field(default_factory=dict)
    headers: Callable[[int], Mapping[str, str]] = lambda upstream_port: {}

    @contextmanager
    def running(self, upstream_port: int, request: bytes) -> Iterator[tuple[int, int, float]]:
        """Its port, its process, and the seconds to its first answer, which is the one to `request`.

        Raises:
            RivalMissing: it is not there, or gave no such answer in `START_S`.
        """
        if not self.program.exists():
            raise RivalMissing(f"{self.program.relative_to(FOLDER.parents[1])} is not there: run make bench-peers")
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        with tempfile.TemporaryDirectory() as folder, (Path(folder) / "log").open("w+") as log:
            command = self.command(Path(folder), port, upstream_port)
            environment = os.environ | self.environment
            began = time.perf_counter()
            process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=subprocess.STDOUT, env=environment)
            try:
                _wait_for_answer(process, port, request, log.name)
                yield port, process.pid, time.perf_counter() - began
            finally:
                process.terminate()
                process.wait()


def _wait_for_answer(process: "subprocess.Popen[bytes]", port: int, request: bytes, log: str) -> None:
    until = time.monotonic() + START_S
    seen = "no connection"
    while time.monotonic() < until and process.poll() is None:
        try:
            with connect(port) as sock:
                answer, _ = ask(sock, request)
        except (OSError, LoadError) as error:
            seen = str(error)
        else:
            if b" 200 " in answer[:20]:
                return
            seen = answer[-300:].decode("utf-8", "replace")
        time.sleep(0.05)
    raise RivalMissing(f"it gave no answer: {seen} ... {Path(log).read_text()[-300:]}")


def _litellm(folder: Path, port: int, upstream_port: int) -> list[str]:
    config = folder / "config.yaml"
    config.write_text(LITELLM.format(port=upstream_port))
    return [str(_LITELLM), "--config", str(config), "--host", "127.0.0.1", "--port", str(port), "--num_workers", "1"]


def _portkey(folder: Path, port: int, upstream_port: int) -> list[str]:
    return ["node", str(_PORTKEY), f"--port={port}", "--headless"]


def _install_litellm() -> None:
    folder = FOLDER / "litellm"
    venv.create(folder, with_pip=True, clear=True)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "litellm[proxy]"], check=True)


def _install_portkey() -> None:
    folder = FOLDER / "portkey"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "package.json").write_text(json.dumps(PORTKEY))
    npm = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(folder)]
    subprocess.run(npm, check=True)


RIVALS: Final = (
    Rival(
        "litellm",
        _LITELLM,
        _install_litellm,
        _litellm,
        # Nothing is fetched from outside and nothing printed for each request; without a key it does not start.
        {
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "LITELLM_MODE": "PRODUCTION",
            "LITELLM_LOG": "ERROR",
            "LITELLM_MASTER_KEY": KEY,
        },
    ),
    Rival(
        "portkey",
        _PORTKEY,
        _install_portkey,
        _portkey,
        {"NODE_ENV": "production"},
        lambda upstream_port: {
            "x_portkey_provider": "openai",
            "x_portkey_custom_host": f"http://127.0.0.1:{upstream_port}/v1",
        },
    ),
)


def main() -> None:
    """Install all of them, each as far as its registry lets us, and say what came of it."""
    for rival in RIVALS:
        try:
            rival.install()
        except (subprocess.CalledProcessError, OSError) as error:
            print(f"{rival.name}: NOT INSTALLED: {error}")
        else:
            print(f"{rival.name}: installed, {rival.program}")


if __name__ == "__main__":
    main()
