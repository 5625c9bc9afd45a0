"""Put one file at a destination once, and print how many seconds that took without the start of this program.

As `putting.py sftp PORT USER ROOT HOST_KEY IDENTITY SOURCE`, or `putting.py s3|upload_file ENDPOINT BUCKET KEY SOURCE`.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import boto3
from boto3.s3.transfer import TransferConfig

from transports.s3 import S3Transport
from transports.s3_client import S3Destination
from transports.sftp import SftpDestination, SftpTransport

NAME = "file.age"
CONNECTIONS = 4  # of both sides; on two cores boto3 is no faster with 2 or 10


def sftp(port: str, user: str, root: str, host_key: str, identity: str, source: str) -> float:
    """Ours, with its digest and `fsync`, from the first packet of the connection on."""
    started = time.perf_counter()
    destination = SftpDestination("127.0.0.1", int(port), user, root, host_key, Path(identity))
    with SftpTransport(destination) as transport:
        transport.put(Path(source), NAME)
        return time.perf_counter() - started


def s3(endpoint: str, bucket: str, key: str, source: str) -> float:
    """Ours, with its digest."""
    started = time.perf_counter()
    destination = S3Destination(endpoint, "us-east-1", bucket, "", lambda: key, connections=CONNECTIONS)
    with S3Transport(destination) as transport:
        transport.put(Path(source), NAME)
        return time.perf_counter() - started


def upload_file(endpoint: str, bucket: str, key: str, source: str) -> float:
    """What is in every example of boto3."""
    started = time.perf_counter()
    access, _, secret = key.partition(":")
    client = boto3.client(
        "s3", endpoint_url=endpoint, aws_access_key_id=access, aws_secret_access_key=secret, region_name="us-east-1"
    )
    client.upload_file(source, bucket, NAME, Config=TransferConfig(max_concurrency=CONNECTIONS))
    return time.perf_counter() - started


if __name__ == "__main__":
    sys.stdout.write(f"{globals()[sys.argv[1]](*sys.argv[2:])}\n")
