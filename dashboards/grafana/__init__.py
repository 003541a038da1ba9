"""Grafana's dashboard and provisioning, generated so that they cannot fall behind the metrics."""
