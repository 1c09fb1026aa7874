"""What Grafana and Prometheus are given, and the code that the dashboards are made by.

`make dashboards` writes grafana/dashboards/*.json anew; `make check` fails where they do not match.
"""
