"""Layer 2: the append-only record of deliveries: a Merkle tree of events, work list, checkpoints, history. No key."""
