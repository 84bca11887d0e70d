"""Finding providers."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from connectors import registry
from connectors.base import Connector
from connectors.errors import UnknownProvider

OTHERS_PACKAGE = {
    "others.py": """
        from connectors.providers.postgres import Postgres

        class Others(Postgres):
            provider = "others"

        nothing = 42
    """,
    "others-1.dist-info/METADATA": "Metadata-Version: 2.1\nName: others\nVersion: 1\n",
    "others-1.dist-info/entry_points.txt": """
        [warehouse.connectors]
        others = others:Others
        broken = others:nothing
    """,
}


def test_providers_are_the_files_of_the_folder() -> None:
    assert {"bigquery", "postgres", "snowflake"} <= set(registry.names())
    assert list(registry.names()) == sorted(registry.names())


@pytest.mark.parametrize("name", registry.names())
def test_class_of_a_provider_says_its_name(name: str) -> None:
    found = registry.provider(name)
    assert issubclass(found, Connector)
    assert found.provider == name
    assert found.label
    assert found.credentials_model.secret_fields()


@pytest.mark.parametrize("name", ["oracle", "", "POSTGRES", "..credentials", "postgres; x", "os"])
def test_unknown_provider_is_named_with_those_there_are(name: str) -> None:
    with pytest.raises(UnknownProvider) as caught:
        registry.provider(name)
    assert caught.value.fields == {"provider": name}
    assert "postgres" in caught.value.advice


def run(code: str, path: Path | None = None) -> str:
    """What another Python prints, with ``path`` on its path."""
    script = textwrap.dedent(code)
    lines = f"import sys; sys.path.append({str(path)!r})\n{script}" if path else script
    done = subprocess.run(
        [sys.executable, "-c", lines], capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout


def test_provider_of_another_package_is_found_by_its_entry_point(tmp_path: Path) -> None:
    for name, text in OTHERS_PACKAGE.items():
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(textwrap.dedent(text).lstrip())
    printed = run(
        """
        from connectors import registry
        print("others" in registry.names(), registry.provider("others").__module__)
        try:
            registry.provider("broken")
        except TypeError as exc:
            print(exc)
        """,
        tmp_path,
    )
    assert printed.splitlines() == ["True others", "42 is not a Connector class"]


def test_no_vendors_client_is_imported_before_it_is_needed() -> None:
    printed = run(
        """
        import sys
        from connectors import connect, registry
        for name in registry.names():
            registry.provider(name)
        vendors = ("databricks", "django", "google.cloud", "grpc", "pandas", "snowflake", "thrift")
        print([name for name in vendors if name in sys.modules])
        """
    )
    assert printed.strip() == "[]"
