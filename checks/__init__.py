"""What `make lint` and CI check beyond the usual tools; run as `python -m checks.<name>` from the top folder."""
