"""Accept fast, lose nothing silently: sidecar proxy, ingest API, spool and delivery."""
