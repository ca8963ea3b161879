"""moto's server as a program: writes its port into the file that is its argument, then serves until it is ended."""

import logging
import os
import sys
import threading
from pathlib import Path
from typing import Any

from moto.server import ThreadedMotoServer


def main(port_file: Path) -> None:
    """Serves for ever."""
    logging.getLogger("werkzeug").setLevel(logging.WARNING)  # a line per request costs more than the request
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    port = _port(server)
    written = port_file.with_suffix(".new")
    written.write_text(str(port))
    os.replace(written, port_file)  # a reader sees the whole number or no file
    threading.Event().wait()


def _port(server: Any) -> int:
    if hasattr(server, "get_host_and_port"):
        return int(server.get_host_and_port()[1])
    return int(server._server.server_port)  # moto 4, which older versions of boto3 are tested with


if __name__ == "__main__":
    main(Path(sys.argv[1]))
