"""`gla subject` over 1,000 deliveries of a million people each, as a command, start-up included.

Each set is sealed under its own key, as a delivery does it; the deliveries themselves are rows of the work list without
files. The person is in all of them, which costs more than being in none. Then the same key is put into a SoftHSM2
token, which has to derive the keys of all sets.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import numpy as np
import pkcs11
import run
from pkcs11 import Attribute, KeyType, ObjectClass

from core.clock import to_rfc3339, utc_now
from core.database import writing
from core.files import new_file
from core.ids import new_id
from flows.steps.people import set_name, set_path
from flows.steps.seal import Sealed
from keys.private.people import seal_people
from keys.roles import Role
from ledger import deliveries
from ledger.deliveries import Delivery
from ledger.states import State
from schemas.bsn_set import BsnSet
from tests.delivery_world import AGREEMENT, RECIPIENT, World, make_world_in
from tests.servers.softhsm import PIN, module
from tests.subjects_world import PEOPLE, rows, with_clients

DELIVERIES = int(os.environ.get("GLA_BENCH_ASKED_DELIVERIES", "1000"))
EACH = int(os.environ.get("GLA_BENCH_PEOPLE", "1000000"))


def everybody() -> BsnSet:
    """People spread over all numbers, and the one who is asked for."""
    people = BsnSet()
    prefixes = np.linspace(10_000_000, 99_989_999, EACH - 1, dtype=np.uint32)
    people.mark(prefixes * np.uint32(10))
    people.mark(np.array([int(PEOPLE[0])], dtype=np.uint32))
    return people


def deliver(world: World, people: BsnSet, number: int) -> int:
    """One delivery, of which only the set of people is real; the size of that set's file."""
    services, delivery_id, now = world.services, new_id(), utc_now()
    path, name = set_path(services, delivery_id, 1), set_name(delivery_id, 1)
    path.parent.mkdir(exist_ok=True, mode=0o700)
    with new_file(path, mode=0o600) as file:
        kept = seal_people(file, services.custody.person_digest_keys()[0], name, people.count, people.prefixes())
    published = to_rfc3339(now - timedelta(hours=number))
    sealed = Sealed(1, EACH, to_rfc3339(now), (), {"manifest.json": (1, "0" * 64)}, people=vars(kept))
    row = Delivery(
        id=delivery_id, agreement_id=AGREEMENT, agreement_digest="0" * 64, recipient=RECIPIENT, product="clients",
        period=f"{1000 + number}", edition=1, state=State.PUBLISHED, token=1, actor="bench", created_at=published,
        updated_at=published, rows=EACH, bytes=1, sealed=sealed.to_json(), published_at=published,
    )  # fmt: skip
    with writing(services.engine) as connection:
        deliveries.create(connection, row)
    return path.stat().st_size


def in_token(world: World, work: Path) -> dict[str, str]:
    """Put the key of the sets into a new token; the environment in which a command finds it there."""
    (work / "tokens").mkdir()
    (work / "softhsm2.conf").write_text(f"directories.tokendir = {work}/tokens\nobjectstore.backend = file\n")
    os.environ["SOFTHSM2_CONF"] = str(work / "softhsm2.conf")
    make = ["softhsm2-util", "--init-token", "--free", "--label", "bench", "--so-pin", "87654321", "--pin", PIN]
    subprocess.run(make, check=True, capture_output=True)
    path = world.services.custody.path(Role.PERSON_DIGESTS)
    with pkcs11.lib(str(module())).get_token(token_label="bench").open(rw=True, user_pin=PIN) as session:
        session.create_object(
            {
                Attribute.CLASS: ObjectClass.SECRET_KEY, Attribute.KEY_TYPE: KeyType.GENERIC_SECRET,
                Attribute.LABEL: "people", Attribute.VALUE: bytes.fromhex(path.read_text()), Attribute.TOKEN: True,
                Attribute.SIGN: True, Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False, Attribute.PRIVATE: True,
            }
        )  # fmt: skip
    path.unlink()
    uri = f"pkcs11:token=bench;object=people?module-path={module()}&pin-source=env:BENCH_PIN"
    names = {"SOFTHSM2_CONF": os.environ["SOFTHSM2_CONF"], "BENCH_PIN": PIN}
    return names | {Role.PERSON_DIGESTS.setting: uri}


def asked(home: Path, more: dict[str, str] | None = None) -> float:
    environment = run.ENVIRONMENT | {"GLA_HOME": str(home)} | (more or {})
    command = [*run.GLA, "subject", "--reason", "bench", "--json"]
    started = time.perf_counter()
    done = subprocess.run(command, env=environment, input=PEOPLE[0].encode(), capture_output=True, check=True)
    seconds = time.perf_counter() - started
    if len(json.loads(done.stdout)["deliveries"]) != DELIVERIES:
        raise SystemExit("the person was not found in every delivery")
    return seconds


def measure(work: Path) -> dict[str, float]:
    """The keys of this benchmark, see bench/keys.json."""
    world = with_clients(make_world_in(work, clock=utc_now)(), rows(PEOPLE))
    people, sealing, size = everybody(), [], 0
    for number in range(DELIVERIES):
        started = time.process_time()
        size = deliver(world, people, number)
        sealing.append(time.process_time() - started)
    seconds = [asked(world.home) for _ in range(run.PAIRS + 1)][1:]
    found = in_token(world, work)
    by_token = [asked(world.home, found) for _ in range(run.PAIRS + 1)][1:]
    sys.stdout.write(f"  {seconds}, with a token {by_token}\n")
    return {
        "subject_seconds": statistics.median(seconds),
        "subject_token_seconds": statistics.median(by_token),
        "subject_set_mb": size / 1e6,
        "subject_seal_seconds": statistics.median(sealing),
    }
