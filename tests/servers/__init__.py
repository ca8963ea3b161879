"""Real S3 servers that nobody here wrote, each as a context manager that yields a `Server`."""

from tests.servers.moto import moto_server
from tests.servers.seaweedfs import seaweedfs_server
from tests.servers.server import Server

__all__ = ["Server", "moto_server", "seaweedfs_server"]
