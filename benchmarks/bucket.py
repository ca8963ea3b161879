"""The bucket that all move to and from."""

BUCKET = "bench"
REGION = "us-east-1"
