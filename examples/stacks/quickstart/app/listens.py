"""A health check: succeeds when something listens on the port."""

import socket
import sys

try:
    socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=3).close()
except OSError as error:
    sys.exit(f"port {sys.argv[1]}: {error}")
