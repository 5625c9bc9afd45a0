"""Layer 2: the append-only record of deliveries: chained events, work list, checkpoints, history. Imports no key."""
