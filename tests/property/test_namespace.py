"""No text that a client can send leads outside the recipient's own folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from apps.dropzone.namespace import Namespace, segments

OWN = b"own"
SECRET = b"secret"
PIECES = [
    "..",
    ".",
    "",
    "/",
    "deliveries",
    "fonds",
    "other",
    "GLA-1",
    "GLA-2",
    "2026-03",
    "edition-1",
    "data.age",
    ".staging-edition-1-1",
    "link-file",
    "link-folder",
    "link-up",
    "accounts.json",
    "spool",
    "\0",
    "~",
    "*",
    "\u2025",
    "\uff0e\uff0e",
    "..\\",
    "%2e%2e",
    "//",
    "etc",
    "passwd",
]
paths = st.one_of(
    st.text(max_size=60),
    st.lists(st.sampled_from(PIECES), max_size=12).map("/".join),
    st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=8)), max_size=10).map("/".join),
)


@pytest.fixture(scope="module")
def namespace(tmp_path_factory: pytest.TempPathFactory) -> Namespace:
    root: Path = tmp_path_factory.mktemp("dropzone")
    own = root / "deliveries" / "fonds"
    for folder in (own / "GLA-1/2026-03/edition-1", root / "deliveries/other/GLA-1/2026-03/edition-1", root / "spool"):
        folder.mkdir(parents=True)
    (own / "GLA-1/2026-03/.staging-edition-1-1").mkdir()
    (own / "GLA-1/2026-03/.staging-edition-1-1/data.age").write_bytes(SECRET)
    (own / "GLA-1/2026-03/edition-1/data.age").write_bytes(OWN)
    (root / "deliveries/other/GLA-1/2026-03/edition-1/data.age").write_bytes(SECRET)
    (root / "accounts.json").write_bytes(SECRET)
    (root / "spool/x.jsonl").write_bytes(SECRET)
    (own / "GLA-1/link-file").symlink_to(root / "accounts.json")
    (own / "GLA-1/link-folder").symlink_to(root / "deliveries/other")
    (own / "link-up").symlink_to("../..")
    (own / "GLA-2/2026-03/edition-1").mkdir(parents=True)
    (own / "GLA-2/2026-03/edition-1/data.age").write_bytes(SECRET)
    return Namespace(own, {"GLA-2"})


VISIBLE = {"/", "deliveries", "GLA-1", "2026-03", "edition-1", "data.age"}


@given(path=paths)
@example(path="/deliveries/../../accounts.json")
@example(path="/deliveries/link-up/deliveries/other/GLA-1/2026-03/edition-1/data.age")
@example(path="/deliveries/GLA-1/2026-03/edition-1/data.age")
@example(path="/deliveries/GLA-2/2026-03/edition-1/data.age")
@example(path="/deliveries/GLA-1/../GLA-2/2026-03/edition-1/data.age")
def test_whatever_is_opened_is_ones_own_file(namespace: Namespace, path: str) -> None:
    try:
        file = namespace.open(path)
    except OSError:
        return
    try:
        assert os.pread(file.descriptor, 100, 0) == OWN
        assert file.path == "GLA-1/2026-03/edition-1/data.age"
        assert file.node.size == len(OWN)
    finally:
        os.close(file.descriptor)


@given(path=paths)
@example(path="/deliveries")
@example(path="/deliveries/GLA-2")
def test_whatever_is_shown_is_in_ones_own_folder(namespace: Namespace, path: str) -> None:
    for look in (lambda: [namespace.find(path)], lambda: namespace.list(path)):
        try:
            nodes = look()
        except OSError:
            continue
        assert {node.name for node in nodes} <= VISIBLE


@given(path=paths)
def test_no_descriptor_stays_open(namespace: Namespace, path: str) -> None:
    before = os.listdir("/proc/self/fd")  # noqa: PTH208 - pathlib's own descriptor would count
    for look in (namespace.find, namespace.list, lambda path: os.close(namespace.open(path).descriptor)):
        try:
            look(path)
        except OSError:
            continue
    assert os.listdir("/proc/self/fd") == before  # noqa: PTH208


@given(path=paths)
def test_a_path_in_normal_form_is_its_own_normal_form_and_never_climbs(path: str) -> None:
    names = segments(path)
    assert segments("/" + "/".join(names)) == names
    assert not {"", ".", ".."} & set(names)
    assert not any("/" in name for name in names)
