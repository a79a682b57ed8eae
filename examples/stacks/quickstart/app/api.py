"""What the page shows, as JSON. Relies on `migrate`: without a schema in the store it does not start."""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from client import ask


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        status = {
            "greeting": ask("GET greeting"),
            "visits": int(ask("ADD visits 1")),
            "jobs": int(ask("GET jobs") or 0),
        }
        body = json.dumps(status).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if not ask("GET schema"):
    sys.exit("api: the store has no schema; has `migrate` run?")
print("api: listening on port 8000")
ThreadingHTTPServer(("", 8000), Handler).serve_forever()
