"""Measures s3bulk against others on the same server; run as `python -m benchmarks.<name>` from the top folder."""
