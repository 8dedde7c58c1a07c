"""Settings are found where dlt finds them: the same files and variables are asked both ways."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import dlt
import pytest
from dlt.common.runtime.run_context import RunContext, switched_run_context

from ingest import given
from ingest.errors import ConfigurationError

FILES = {
    "project/config.toml": '[part]\nplain = "config"\nboth = "config"\nnumber = 25\nis = false\nnone = ""\n',
    "project/secrets.toml": '[part]\nboth = "secrets"\nsecret = "007"\n[part.deep]\nest = "x"\n',
    "user/config.toml": '[part]\nplain = "user"\nuser = "user"\n[part.deep]\nuser = "user"\n',
    "user/secrets.toml": '[part]\nuser_secret = "user"\nsecret = "user"\n',
}
VARIABLES = {"PART__NUMBER": "7", "PART__VARIABLE": "true", "PART__UNSET": ""}
KEYS = ("plain", "both", "number", "is", "none", "secret", "deep.est", "deep.user", "plain.below", "user")
NAMES = [f"part.{key}" for key in (*KEYS, "user_secret", "variable", "unset", "nowhere")] + ["part", "other.part"]


@pytest.fixture(autouse=True)
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Both files in both directories, and no vault."""
    home = tmp_path / "home"
    for name, text in FILES.items():
        owner, _, file = name.partition("/")
        path = (tmp_path if owner == "project" else home) / ".dlt" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.setenv("DLT_PROJECT_DIR", str(tmp_path))
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)
    return tmp_path / ".dlt"


def test_every_value_is_the_one_that_dlt_finds(written: Path) -> None:
    with switched_run_context(RunContext(str(written.parent))):
        for name, is_secret in itertools.product(NAMES, (False, True)):
            wanted = (dlt.secrets if is_secret else dlt.config).get(name)
            if not isinstance(wanted, dict):  # a whole section is no setting
                assert given.find(name, is_secret=is_secret) == wanted, (name, is_secret)
        assert {given.find(f"part.{key}", is_secret=False) for key in KEYS} >= {"config", "secrets", "user", "7"}


def test_a_secret_is_not_taken_from_the_file_that_others_may_read() -> None:
    assert given.find("part.plain", is_secret=True) is None


def test_a_secret_that_a_container_was_given_as_a_file_comes_first(
    written: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(given, "MOUNTED_SECRETS", written)
    (written / "part--secret").write_text("docker\n")
    (written / "part--variable").mkdir()
    (written / "part--variable" / "part--variable").write_text("kubernetes\n")
    assert given.find("part.secret", is_secret=True) == "docker"
    assert given.find("part.variable", is_secret=True) == "kubernetes"
    assert given.find("part.variable", is_secret=False) == "true"


@pytest.mark.parametrize("way", ["variable", "file"])
def test_where_a_vault_is_set_up_dlt_is_asked(written: Path, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    if way == "variable":
        monkeypatch.setenv("PROVIDERS__ENABLE_AWS_SECRETS", "true")
    else:
        (written / "config.toml").write_text("[providers]\nenable_aws_secrets = true\n")
    monkeypatch.setattr(given, "_ask_dlt", lambda name, *, is_secret: f"{name} from the vault, {is_secret}")
    assert given.find("part.secret", is_secret=True) == "part.secret from the vault, True"


@pytest.mark.parametrize("content", [b'[part]\nplain = "open\n', b"\xff\xfe", None])
def test_a_file_that_is_no_toml_is_named(written: Path, content: bytes | None) -> None:
    path = written / "config.toml"
    path.unlink()
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"config\.toml cannot be read"):
        given.find("part.plain", is_secret=False)
