"""Layer 0: errors, settings, ids, periods, clock, canonical form, logging, database. Imports nothing of ours."""
