"""Real S3 servers that nobody here wrote, each as a context manager that yields a `Server`, and the scripted one."""

from tests.servers.fault_server import FaultServer, fault_server
from tests.servers.minio import minio_server
from tests.servers.moto import moto_server
from tests.servers.rclone import rclone_server
from tests.servers.seaweedfs import seaweedfs_server
from tests.servers.server import Server
from tests.servers.versitygw import versitygw_server

__all__ = [
    "FaultServer",
    "Server",
    "fault_server",
    "minio_server",
    "moto_server",
    "rclone_server",
    "seaweedfs_server",
    "versitygw_server",
]
