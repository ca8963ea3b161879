"""Measures s3bulk against others on the same server: `python -m benchmarks` (docs/performance.md), `.demo`."""
