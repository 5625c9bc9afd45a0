"""docs/sources.md names every kind of source, every limit and every type of PostgreSQL that can be read."""

from pathlib import Path
from typing import get_args

from click.testing import CliRunner

from apps.cli.source import source
from core.settings import SourceSettings
from flows.sources.postgres import types
from flows.sources.registration import Form

PAGE = (Path(__file__).resolve().parents[2] / "docs/sources.md").read_text(encoding="utf-8")


def test_every_kind_and_option_is_there():
    words = {
        "files": "Parquet",
        "s3": "s3://",
        "postgresql": "--kind postgresql",
        "duckdb": ".duckdb",
        "sqlite": ".sqlite",
    }
    assert words.keys() == set(get_args(Form))
    assert all(word in PAGE for word in words.values())
    options = CliRunner().invoke(source, ["add", "--help"]).output
    for option in ("--owner", "--table", "--endpoint", "--region", "--secret", "--kind"):
        assert option in options
        assert option in PAGE


def test_every_limit_is_there_with_its_default():
    for name, default in SourceSettings():
        assert f"| `GLA_SOURCES__{name.upper()}` | {default:g} |" in PAGE


def test_every_type_is_there():
    listed = PAGE.replace("int2/4/8", "int2 int4 int8").replace("float4/8", "float4 float8")
    for name in (*types._PLAIN, "uuid", "numeric", "enum", "char(n)"):
        assert name in listed
