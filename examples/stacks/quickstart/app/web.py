"""The page. What it shows comes from the api, which it finds by name."""

import json
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PAGE = """<!doctype html>
<title>quickstart</title>
<h1>{greeting}</h1>
<p>You are visitor number {visits}. Jobs done by the worker: {jobs}.</p>
"""


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        try:
            with urllib.request.urlopen("http://api:8000/", timeout=5) as response:
                status, page = 200, PAGE.format(**json.load(response))
        except urllib.error.URLError as error:
            status, page = 502, f"the api does not answer: {error.reason}\n"
        body = page.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


print("web: listening on port 80")
ThreadingHTTPServer(("", 80), Handler).serve_forever()
