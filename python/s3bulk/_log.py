"""The package's logger, and what both ways of a call say in the same words."""

from __future__ import annotations

import logging

logger = logging.getLogger("s3bulk")

CREATED_BUCKET = "Created S3 bucket '%s' in region '%s'"
