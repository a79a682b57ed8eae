"""How the others speak with the store."""

import socket


def ask(command):
    with socket.create_connection(("store", 7000), timeout=5) as connection:
        connection.sendall(f"{command}\n".encode())
        with connection.makefile(encoding="utf-8") as answers:
            return answers.readline().strip()
