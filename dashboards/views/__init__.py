"""From rows to what a template shows: plain functions, no database and no HTTP."""
