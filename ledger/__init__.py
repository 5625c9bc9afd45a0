"""Layer 2: the append-only record of deliveries: events in a Merkle tree, work list, checkpoints, history. Imports
no key.
"""
