"""What docs/gateway.md says to copy is tried as it stands there."""

import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from host.secret import Secret
from plugins.gateway.core.catalog import KNOWN
from plugins.gateway.settings import Settings
from tests.plugins.gateway.kit import open_house
from tests.plugins.gateway.recorded import open_recorded
from tests.web.test_node import ROOT, find_node

PAGE = (ROOT / "docs" / "gateway.md").read_text()
HOST = "http://127.0.0.1:8000"
TIMEOUT_S = 100


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


START = PAGE[PAGE.index("## Start") : PAGE.index("## Real providers")]
PYTHON = [block for block in blocks("python") if block in START]
CURL = [block for block in blocks("sh") if block in START]
NODE = [block for block in blocks("js") if block in START]


def test_there_are_five_clients_to_copy() -> None:
    assert (len(CURL), len(PYTHON), len(NODE)) == (1, 3, 1)


@pytest.mark.parametrize("block", PYTHON, ids=lambda block: block.split()[1])
def test_the_start_in_python(url: str, block: str, capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(block.replace(HOST, url), "docs/gateway.md", "exec"), {})
    assert capsys.readouterr().out == "Hello\n"


def test_the_start_with_curl(url: str) -> None:
    shown = subprocess.run(
        ["sh", "-c", CURL[0].replace(HOST, url)], capture_output=True, text=True, timeout=TIMEOUT_S, check=True
    ).stdout
    assert shown.startswith("data: {")
    assert shown.endswith("data: [DONE]\n\n")


@pytest.mark.usefixtures("client_of_node")
def test_the_start_with_node(url: str) -> None:
    command = [find_node(), "--input-type=module", "--eval", NODE[0].replace(HOST, url)]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, cwd=ROOT, check=True).stdout
    assert shown == "Hello\n"


@pytest.mark.parametrize("block", blocks("toml"))
def test_every_configuration_is_one(block: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_OPENAI_KEY", "a-key")
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", "a-key")
    Settings.model_validate(tomllib.loads(block)["plugins"]["gateway"], context={"env": os.environ})


def test_all_known_providers_and_their_variables_are_named() -> None:
    for name, known in KNOWN.items():
        assert not known.key_variable or f"| `{name}` | `{known.key_variable}` |" in PAGE


REAL: dict[str, tuple[str, str, str, tuple[str, str]]] = {
    "openai": ("OPENAI_API_KEY", "gpt-4o-mini", "/chat/completions", ("authorization", "Bearer a-real-key")),
    "anthropic": ("ANTHROPIC_API_KEY", "claude-sonnet-4-5", "/messages", ("x-api-key", "a-real-key")),
    "gemini": (
        "GEMINI_API_KEY",
        "gemini-2.5-flash",
        "/models/gemini-2.5-flash:generateContent",
        ("x-goog-api-key", "a-real-key"),
    ),
    "groq": ("GROQ_API_KEY", "groq/llama-3.3-70b", "/chat/completions", ("authorization", "Bearer a-real-key")),
}


@pytest.mark.parametrize("name", REAL)
async def test_a_key_in_the_environment_is_all_that_a_known_provider_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Its address is another here: what would go over the wire to it is looked at."""
    variable, model, path, (header, value) = REAL[name]
    for known in KNOWN.values():
        monkeypatch.delenv(known.key_variable or "UNSET", raising=False)
    monkeypatch.setenv(variable, "a-real-key")
    async with open_recorded() as upstream:
        upstream.answer = 400, "application/json", b'{"error": {"message": "recorded", "type": "x", "code": null}}'
        given = {name: {"base_url": f"http://127.0.0.1:{upstream.port}"}}
        async with open_house(tmp_path, providers=given, providers_from_environment=True) as house:
            assert (await house.chat("hi", model)).status_code == 400
        [asked] = upstream.asked
        assert asked.target == path
        assert asked.headers[header] == value
    assert KNOWN[name].base_url.startswith("https://")


def test_a_configured_key_is_a_reference() -> None:
    block = next(block for block in blocks("toml") if "azure" in block)
    section = tomllib.loads(block)["plugins"]["gateway"]
    settings = Settings.model_validate(section, context={"env": {"AZURE_OPENAI_KEY": "shh"}})
    assert settings.providers["work"].api_key == Secret("shh")
