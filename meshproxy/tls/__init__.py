"""Identity: SPIFFE ids, TLS contexts from files, and the check of peers' certificates."""
