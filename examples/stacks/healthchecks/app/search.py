"""A search that reads its index before it can answer, and that can be taken out of service by a file."""

import os
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

LOADING_S = 1.5
MAINTENANCE = "/tmp/maintenance"
ready = threading.Event()


def load_index():
    time.sleep(LOADING_S)  # stands for work
    ready.set()
    print("search: the index is loaded")


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        usable = ready.is_set() and not os.path.exists(MAINTENANCE)
        body = b"3 results\n" if usable else b"not now\n"
        self.send_response(200 if usable else 503)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_request(self, *_):
        """Probes would fill the log."""


print("search: loading the index")
threading.Thread(target=load_index).start()
ThreadingHTTPServer(("", 8000), Handler).serve_forever()
