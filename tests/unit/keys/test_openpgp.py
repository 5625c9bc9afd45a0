"""OpenPGP certificates: which can be sealed to, which not and why; and messages to them, whole or not at all."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pysequoia import Cert, CipherSuite, Profile, Tsk
from pysequoia.packet import PacketPile, SignatureType, Tag

from core.clock import utc_now
from core.errors import KeyUnusable, Unexpected
from keys.envelope.errors import NoMatchingKey, PayloadInvalid
from keys.kinds import check_together, open_sealer, parse_sealing_key, preferred, renewed
from keys.openpgp import sealing
from keys.openpgp.certificate import OpenPgpCertificate
from keys.private.kinds import open_envelope, open_into, open_pieces, parse_private_keys
from keys.private.openpgp import OpenPgpPrivateKey
from keys.private.passphrase import nobody_asks

MIB = 1024 * 1024
LATER = timedelta(seconds=5)


def new(
    suite: CipherSuite = CipherSuite.Cv25519, profile: Profile = Profile.RFC9580, seconds: int | None = None
) -> Tsk:
    return Tsk.generate("fonds", profile=profile, cipher_suite=suite, validity_seconds=seconds)


@pytest.fixture(scope="module")
def tsk() -> Tsk:
    return new()


def public(tsk: Tsk) -> OpenPgpCertificate:
    return OpenPgpCertificate(bytes(tsk.extract_certificate()))


def sealed(plain: bytes, *keys: OpenPgpCertificate) -> bytes:
    target = io.BytesIO()
    with open_sealer(target, keys, utc_now() + LATER) as sealer:
        sealer.write(plain)
    return target.getvalue()


def opened(message: bytes, tsk: Tsk) -> bytes:
    return open_envelope(io.BytesIO(message), [OpenPgpPrivateKey(bytes(tsk), nobody_asks)]).read()


def container(message: bytes) -> int:
    """The version of the encrypted container: 1 has an MDC (RFC 9580, 5.13.1), 2 is AEAD (5.13.2)."""
    return next(packet.body[0] for packet in PacketPile.from_bytes(message) if packet.tag == Tag.SEIP)


@pytest.mark.parametrize("profile", [Profile.RFC4880, Profile.RFC9580])
def test_a_certificate_reads_back_from_its_text_and_from_binary(profile):
    certificate = new(profile=profile).extract_certificate()
    key = parse_sealing_key(bytes(certificate))
    assert key == parse_sealing_key(str(key)) == parse_sealing_key(f"\n{certificate}")
    assert key.fingerprint == f"OPENPGP:{certificate.fingerprint.upper()}"
    assert len(key.fingerprint) == 8 + (40 if profile == Profile.RFC4880 else 64)
    assert key.fingerprint in repr(key)
    assert (key.kind, key.form.suffix, key.is_hybrid) == ("openpgp", ".pgp", False)


def test_a_message_opens_to_what_was_written(tsk):
    plain = os.urandom(3 * MIB + 1)
    assert opened(sealed(plain, public(tsk)), tsk) == plain
    assert opened(sealed(b"", public(tsk)), tsk) == b""


def test_each_of_several_recipients_opens(tsk):
    other = new()
    message = sealed(b"for both", public(tsk), public(other))
    assert opened(message, tsk) == opened(message, other) == b"for both"


def test_the_message_is_aead_where_every_certificate_allows_it(tsk):
    assert container(sealed(b"x", public(tsk))) == 2


def test_a_post_quantum_certificate_is_sealed_to_with_ml_kem_only():
    tsk = new(CipherSuite.MLDSA65_Ed25519)
    key = public(tsk)
    assert key.is_hybrid
    assert opened(sealed(b"x", key), tsk) == b"x"


def test_hybrid_and_classical_certificates_are_never_mixed(tsk):
    hybrid, classical = public(new(CipherSuite.MLDSA65_Ed25519)), public(tsk)
    assert preferred([classical, hybrid]) == [hybrid]
    for refuse in (lambda: check_together([classical, hybrid]), lambda: sealed(b"", classical, hybrid)):
        with pytest.raises(KeyUnusable, match="keep one kind"):
            refuse()


@pytest.mark.parametrize("form", [bytes, str])
def test_a_private_key_given_as_a_public_one_is_refused_loudly(tsk, form):
    given = form(tsk)
    with pytest.raises(KeyUnusable, match="PRIVATE key, not a public one: treat it as leaked") as caught:
        parse_sealing_key(given)
    assert str(given)[100:140] not in str(caught.value)
    assert caught.value.__context__ is None


def test_a_private_key_behind_the_words_of_a_public_one_is_refused(tsk):
    disguised = str(tsk).replace("PRIVATE", "PUBLIC")
    with pytest.raises(KeyUnusable, match="PRIVATE key"):
        parse_sealing_key(disguised)


def test_a_weak_rsa_key_is_refused_with_its_size():
    with pytest.raises(KeyUnusable, match="2048 bits, of 3072 at least"):
        public(new(CipherSuite.RSA2k, Profile.RFC4880))


def test_a_strong_rsa_key_is_taken():
    assert public(new(CipherSuite.RSA3k, Profile.RFC4880)).check(utc_now() + LATER) is None


def test_a_revoked_certificate_is_refused(tsk):
    certificate = tsk.extract_certificate()
    with pytest.raises(KeyUnusable, match="revoked by its owner"):
        OpenPgpCertificate(bytes(certificate) + bytes(certificate.revoke(tsk.certifier())))


def test_an_expired_certificate_is_refused_when_used_and_says_since_when():
    key = public(new(seconds=3600))
    assert key.not_after is not None
    key.check(key.not_after - timedelta(seconds=1))
    for moment in (key.not_after, key.not_after + timedelta(days=1)):
        with pytest.raises(KeyUnusable, match=r"expired on .*: the recipient prolongs it"):
            key.check(moment)
        with pytest.raises(KeyUnusable, match="expired on"):
            open_sealer(io.BytesIO(), [key], moment)


def test_a_certificate_is_used_from_its_first_moment_on(tsk):
    assert public(tsk).check(public(tsk).not_before) is None


def test_a_certificate_from_the_future_is_not_used_yet(tsk):
    with pytest.raises(KeyUnusable, match="not valid before"):
        public(tsk).check(datetime(2020, 1, 1, tzinfo=UTC))


def without(certificate: Cert, *dropped: Tag) -> bytes:
    """The certificate up to the first of these packets."""
    kept = []
    for packet in PacketPile.from_bytes(bytes(certificate)):
        if packet.tag in dropped:
            break
        kept.append(packet)
    return bytes(Cert.from_packets(kept))


def test_a_certificate_without_an_encryption_key_is_refused(tsk):
    with pytest.raises(KeyUnusable, match="no key in it is for encryption"):
        OpenPgpCertificate(without(tsk.extract_certificate(), Tag.PublicSubkey))


def test_a_subkey_that_another_certificate_bound_is_not_sealed_to(tsk):
    stolen = list(PacketPile.from_bytes(bytes(new().extract_certificate())))
    start = next(number for number, packet in enumerate(stolen) if packet.tag == Tag.PublicSubkey)
    own = PacketPile.from_bytes(without(tsk.extract_certificate(), Tag.PublicSubkey))
    with pytest.raises(KeyUnusable, match="no key in it is for encryption"):
        OpenPgpCertificate(bytes(Cert.from_packets([*own, *stolen[start:]])))


def test_a_forged_binding_does_not_prolong_a_subkey(tsk):
    """The newest binding decides, if it is genuine: one of another certificate, put beside ours, changes nothing."""
    short = new(seconds=3600)
    expiry = public(short).not_after
    packets = list(PacketPile.from_bytes(bytes(short.extract_certificate())))
    foreign = list(PacketPile.from_bytes(bytes(tsk.extract_certificate())))
    forged = [packet for packet in foreign if packet.signature_type == SignatureType.SubkeyBinding]
    assert OpenPgpCertificate(b"".join(map(bytes, [*packets, *forged]))).not_after == expiry


def test_a_prolonged_certificate_is_taken_up_and_a_revocation_is_never_undone():
    tsk = new(seconds=3600)
    old = tsk.extract_certificate()
    longer = old.set_expiration(expiration=utc_now() + timedelta(days=900), certifier=tsk.certifier())
    first, second = OpenPgpCertificate(bytes(old)), OpenPgpCertificate(bytes(longer))
    assert renewed(first, second).not_after == renewed(second, first).not_after
    revoked = Cert.from_bytes(bytes(old) + bytes(old.revoke(tsk.certifier())))
    with pytest.raises(KeyUnusable, match="revoked"):
        OpenPgpCertificate(bytes(revoked))


@pytest.mark.parametrize("junk", [b"\x99\x00", b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nxsBN\n", b"\xff" * 100])
def test_what_is_no_certificate_is_refused_without_a_trace(junk):
    with pytest.raises(KeyUnusable, match="not exactly one OpenPGP certificate") as caught:
        parse_sealing_key(junk)
    assert caught.value.__context__ is None


def test_two_certificates_and_a_huge_one_are_refused(tsk):
    both = bytes(tsk.extract_certificate()) + bytes(new().extract_certificate())
    with pytest.raises(KeyUnusable, match="not exactly one"):
        parse_sealing_key(both)
    with pytest.raises(KeyUnusable, match="larger than 1 MiB"):
        parse_sealing_key(b"\x99" * (2 * MIB))


def test_half_a_message_after_an_exception_never_opens(tsk):
    target = io.BytesIO()
    with (  # noqa: PT012 - what is tested is that the block ends so
        pytest.raises(ZeroDivisionError),
        open_sealer(target, [public(tsk)], utc_now() + LATER) as sealer,
    ):
        sealer.write(os.urandom(5 * MIB))
        sealer.close()  # as a writer in between does
        raise ZeroDivisionError
    with pytest.raises(PayloadInvalid):
        opened(target.getvalue(), tsk)
    with pytest.raises(ValueError, match="closed"):
        sealer.write(b"more")


def test_a_full_disk_is_reported_as_it_is_and_the_process_ends(tsk):
    class Full(io.BytesIO):
        def write(self, data):
            raise OSError(28, "no space left")

    with (  # noqa: PT012 - which of the writes tells it depends on the pipes
        pytest.raises(OSError, match="no space left"),
        open_sealer(Full(), [public(tsk)], utc_now() + LATER) as sealer,
    ):
        for _ in range(200):
            sealer.write(bytes(MIB))
    assert sealer._child.returncode is not None


def test_an_encryption_that_dies_is_an_error_and_no_file(tsk, monkeypatch, tmp_path):
    program = tmp_path / "dies.py"
    program.write_text("import os\nos.read(0, 100)\n")
    monkeypatch.setattr(sealing, "_PROGRAM", program)
    with pytest.raises(Unexpected, match="stopped before its end"):
        sealed(os.urandom(5 * MIB), public(tsk))


@pytest.mark.parametrize("harm", ["cut", "flip", "longer"])
def test_a_damaged_message_does_not_open(tsk, harm):
    message = sealed(os.urandom(100_000), public(tsk))
    flipped = message[:5000] + bytes([message[5000] ^ 1]) + message[5001:]
    with pytest.raises(PayloadInvalid):
        opened({"cut": message[:-1], "flip": flipped, "longer": message + b"\x00"}[harm], tsk)


class Dripping(io.BytesIO):
    """As a pipe: a read gives a part of what was asked for."""

    def read(self, size=-1):
        return super().read(min(size, 700) if size >= 0 else size)


def test_a_message_that_comes_in_small_pieces_opens(tsk):
    plain = os.urandom(100_000)
    message = sealed(plain, public(tsk))
    key = OpenPgpPrivateKey(bytes(tsk), nobody_asks)
    assert b"".join(open_pieces(Dripping(message), [key])) == plain
    target = io.BytesIO()
    open_into(Dripping(message), [key], target)
    assert target.getvalue() == plain


def test_another_key_does_not_open(tsk):
    with pytest.raises(NoMatchingKey):
        opened(sealed(b"x", public(tsk)), new())


def test_a_private_key_is_in_no_repr_and_a_reader_that_stops_early_leaves_nothing_running(tsk):
    [key] = parse_private_keys(str(tsk).encode())
    assert repr(key) == f"<private key of {public(tsk).fingerprint}>"
    pieces = open_pieces(io.BytesIO(sealed(os.urandom(60 * MIB), public(tsk))), [key])
    next(pieces)
    pieces.close()


MEASURED = """
import json, sys
from pathlib import Path
sys.path.insert(0, "")
from core.clock import utc_now
from datetime import timedelta
from keys.kinds import open_sealer, parse_sealing_key
key = parse_sealing_key(Path(sys.argv[1]).read_bytes())
block = b"plaintext-that-nobody-may-find" * 35000
with open("/dev/null", "wb") as target, open_sealer(target, [key], utc_now() + timedelta(seconds=5)) as sealer:
    for _ in range(int(sys.argv[2])):
        sealer.write(block)
    status = [Path(f"/proc/{who}/status").read_text() for who in ("self", sealer._child.pid)]
print(json.dumps([int(text.split("VmHWM:")[1].split()[0]) for text in status]))
"""


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="measures through /proc")
@pytest.mark.parametrize("blocks", [1, 300])
def test_memory_does_not_grow_with_the_message(tsk, tmp_path, blocks):
    (tmp_path / "key").write_bytes(bytes(tsk.extract_certificate()))
    words = [sys.executable, "-c", MEASURED, str(tmp_path / "key"), str(blocks)]
    peak = json.loads(subprocess.check_output(words, cwd=Path(__file__).parents[3]))
    assert max(peak) < 150 * 1024  # KiB, in each of the two processes; the larger message has 315 MB


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="looks at open files through /proc")
def test_plaintext_is_in_no_file_that_the_sealing_has_open_or_leaves(tsk, tmp_path, monkeypatch):
    """Both processes may write nowhere: no folder for temporary files, and no regular file but the target is open."""
    monkeypatch.setenv("TMPDIR", str(tmp_path / "absent"))
    target = (tmp_path / "sealed").open("wb")
    before = set(tmp_path.rglob("*"))
    with target, open_sealer(target, [public(tsk)], utc_now() + LATER) as sealer:
        for _ in range(50):
            sealer.write(b"plaintext-that-nobody-may-find" * 35000)
            assert not set(written_by(sealer._child.pid)) - {str(tmp_path / "sealed")}
            assert set(tmp_path.rglob("*")) == before
    assert b"nobody-may-find" not in (tmp_path / "sealed").read_bytes()


def written_by(process: int) -> list[str]:
    """The regular files that a process has open for writing."""
    found = []
    for path in Path(f"/proc/{process}/fd").iterdir():
        with suppress(FileNotFoundError):  # it was closed just now
            flags = int(Path(f"/proc/{process}/fdinfo/{path.name}").read_text().split("flags:")[1].split()[0], 8)
            if path.is_file() and flags & os.O_ACCMODE != os.O_RDONLY:
                found.append(str(path.readlink()))
    return found
