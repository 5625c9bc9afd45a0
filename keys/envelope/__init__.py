"""The age v1 file format (C2SP age.md): recipients and sealing. What needs a private key lives in `keys.private`."""
