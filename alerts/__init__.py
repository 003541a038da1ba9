"""Decide, then deliver: rules over findings, alert states, notifications, incident plans, model updates."""
