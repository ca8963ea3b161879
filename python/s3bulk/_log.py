"""The package's logger, and what both ways of a call say in the same words."""

from __future__ import annotations

import logging

logger = logging.getLogger("s3bulk")

UPLOADED_FOLDER = "Uploaded %d file(s) from '%s' to s3://%s/%s"
DOWNLOADED_PREFIX = "Downloaded %d file(s) from s3://%s/%s -> '%s'"
CREATED_BUCKET = "Created S3 bucket '%s' in region '%s'"
