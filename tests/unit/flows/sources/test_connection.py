"""The connection to PostgreSQL: TLS that is verified unless it is said otherwise, and limits that are always there."""

import pytest
from psycopg.conninfo import conninfo_to_dict

from core.errors import UnusableInput
from core.settings import SourceSettings
from flows.sources.postgres.connection import conninfo


def connected(secret, **limits):
    return conninfo_to_dict(conninfo("src", secret, SourceSettings(**limits)))


@pytest.mark.parametrize(
    "secret",
    [
        "postgresql://u:p@db.example.org/d",
        "host=db.example.org dbname=d",
        "host=localhost,db.example.org",
        "host=localhost hostaddr=192.0.2.1",
        "service=people",
    ],
)
def test_a_server_elsewhere_must_show_a_certificate_of_its_name(secret):
    assert connected(secret)["sslmode"] == "verify-full"
    assert connected(secret)["sslrootcert"] == "system"


@pytest.mark.parametrize("secret", ["dbname=d", "host=/run/postgresql", "postgresql://127.0.0.1/d", "host=::1"])
def test_a_server_on_this_machine_needs_none(secret):
    assert "sslmode" not in connected(secret)


def test_what_the_secret_says_stays():
    told = connected("host=db.example.org sslmode=require connect_timeout=3 application_name=x")
    assert (told["sslmode"], told["connect_timeout"], told["application_name"]) == ("require", "3", "x")
    assert "sslrootcert" not in told
    assert connected("host=h sslmode=verify-full sslrootcert=/etc/ca.pem")["sslrootcert"] == "/etc/ca.pem"


def test_a_connection_is_not_waited_for_for_ever():
    assert connected("host=h", connect_seconds=30)["connect_timeout"] == "30"
    assert connected("host=h", connect_seconds=0.1)["connect_timeout"] == "2"  # the least that libpq takes
    assert connected("host=h")["keepalives_idle"] == "30"


@pytest.mark.parametrize("secret", ["", "geheim", "host=h port=geheim password", "postgresql://u:geheim@[h/d"])
def test_what_is_no_connection_string_is_refused_without_being_shown(secret):
    with pytest.raises(UnusableInput, match="source src: its secret is no connection string") as caught:
        conninfo("src", secret, SourceSettings())
    assert "geheim" not in str(caught.value)
    assert caught.value.__context__ is None
    assert caught.traceback[-1].name == "called"  # no frame of it that has the secret in a variable
