"""Layer 2: from offer to end. `rules` decide without I/O; `store` keeps what was decided, in the shared database."""
