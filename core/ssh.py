"""The SSH algorithms that we accept, as client and as server: authenticated encryption, or CTR with encrypt-then-MAC.

No CBC, no SHA-1, no MD5, no MAC-then-encrypt; key exchange on X25519, first choice hybrid with ML-KEM-768. GCM comes
first: it is what both OpenSSH and paramiko do fastest.
"""

from __future__ import annotations

SSH_FAST_CIPHERS = ("aes256-gcm@openssh.com", "aes128-gcm@openssh.com")
SSH_CIPHERS = (*SSH_FAST_CIPHERS, "aes256-ctr", "aes192-ctr", "aes128-ctr")
SSH_MACS = ("hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com")
SSH_KEY_EXCHANGE = ("mlkem768x25519-sha256", "curve25519-sha256@libssh.org")
SSH_HOST_KEYS = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-512",
    "rsa-sha2-256",
)
