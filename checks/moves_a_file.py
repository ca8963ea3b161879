"""Moves a file up and down with the installed `s3bulk`; its arguments are endpoint, access key and secret key."""

import os
import sys
from importlib.metadata import version
from pathlib import Path

import s3bulk


def main(endpoint_url: str, access_key: str, secret_key: str) -> None:
    assert s3bulk.__version__ == version("s3bulk")
    client = s3bulk.make_s3_client(
        s3bulk.S3ClientConfig(endpoint_url, "us-east-1", access_key=access_key, secret_key=secret_key)
    )
    s3bulk.ensure_bucket_exists(client, "wheel", "us-east-1")
    content = os.urandom(1_000_003)
    up, down = Path("up.bin"), Path("folder/down.bin")
    up.write_bytes(content)
    s3bulk.upload_file(client, up, "wheel", "a key/with ümlaut.bin")
    s3bulk.download_file_to_path(client, "wheel", "a key/with ümlaut.bin", down)
    assert down.read_bytes() == content, "the file came back different"


if __name__ == "__main__":
    main(*sys.argv[1:])
