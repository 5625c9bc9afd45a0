"""Recipients who have only OpenPGP: their certificates, and messages to them (RFC 9580), through pysequoia."""
