"""A small key-value store: one line in, one line out, everything in /data/store.json.

GET key            the value, or an empty line
SET key value      the value
ADD key number     the new value
"""

import json
import os
import socketserver
import threading

PATH = "/data/store.json"
lock = threading.Lock()
values = {}


def save():
    """Complete or as it was: a reader never sees half of it, and neither does a power cut."""
    with open(f"{PATH}.new", "w", encoding="utf-8") as file:
        json.dump(values, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(f"{PATH}.new", PATH)


def answer(line):
    verb, key, *rest = line.split(" ", 2)
    with lock:
        if verb == "SET":
            values[key] = rest[0]
        elif verb == "ADD":
            values[key] = str(int(values.get(key, "0")) + int(rest[0]))
        elif verb != "GET":
            return f"no such verb: {verb}"
        if verb != "GET":
            save()
        return values.get(key, "")


class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        for line in self.rfile:
            self.wfile.write(f"{answer(line.decode().strip())}\n".encode())


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


if os.path.exists(PATH):
    with open(PATH, encoding="utf-8") as stored:
        values.update(json.load(stored))
print(f"store: {len(values)} values found, listening on port 7000")
Server(("", 7000), Handler).serve_forever()
