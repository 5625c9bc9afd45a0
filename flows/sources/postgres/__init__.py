"""PostgreSQL as a source, through ADBC: one role that can only read, one snapshot, Arrow batches, parameterised SQL."""
