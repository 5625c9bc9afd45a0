"""What our own keys are for. Each role has a key of its own, so that one that is stolen is worth one thing only."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """The name of a role is the name of its key file, and of its setting: `GLA_KEYS__AGREEMENT_SEAL`."""

    AGREEMENT_SEAL = "agreement-seal"  # our signature on an agreement
    MANIFEST = "manifest"  # our signature on every delivery
    MANIFEST_MLDSA = "manifest-mldsa"  # a second one that no quantum computer forges; only where it is configured
    LEDGER = "ledger"  # our signature on checkpoints
    INTAKE = "intake"  # opens what is sealed to us
    PERSON_DIGESTS = "person-digests"  # makes digests of persons that nobody else can compute
    OPENPGP = "openpgp"  # our signature inside OpenPGP messages, for recipients who have only that
    DROPZONE_HOST = "dropzone-host"  # the SFTP server proves with it that it is ours

    @property
    def setting(self) -> str:
        """The environment variable that names the key."""
        return f"GLA_KEYS__{self.value.replace('-', '_').upper()}"


SSH_ROLES = (Role.AGREEMENT_SEAL, Role.MANIFEST, Role.LEDGER, Role.DROPZONE_HOST)
"""Made when a home is first opened; the others when they are first needed."""
