"""A syslog server of the smallest kind: it takes lines over TCP and shows who wrote what, and how urgent it is."""

import re
import socketserver

SEVERITIES = ("emergency", "alert", "critical", "error", "warning", "notice", "info", "debug")
MESSAGE = re.compile(r"<(\d+)>.{15} ([^\[]+)\[\d+\]: (.*)")  # <134>Nov 27 06:39:03 shop[12]: text


class Connection(socketserver.StreamRequestHandler):
    def handle(self):
        for line in self.rfile:
            found = MESSAGE.fullmatch(line.decode(errors="replace").rstrip("\n"))
            if found:
                print(f"{found[2]} {SEVERITIES[int(found[1]) % 8]}: {found[3]}")


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


Server(("", 5514), Connection).serve_forever()
