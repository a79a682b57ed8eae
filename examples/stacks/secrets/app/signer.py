"""Signs a text with a key that it has from a file, and says what it was given without giving it away."""

import configparser
import hashlib
import hmac
import os
import signal
import stat
import subprocess

KEY = "/run/secrets/signing-key"
DATABASE = "/etc/signer/database"


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read().strip()


def described(path):
    status = os.stat(path)
    return f"{path}: {stat.filemode(status.st_mode)}, of {status.st_uid}:{status.st_gid}"


settings = configparser.ConfigParser()
settings.read("/etc/signer/settings.ini")
print(subprocess.run(["motd"], capture_output=True, text=True, check=True).stdout, end="")
print(described(KEY))
print(described(DATABASE))
print(f"level {settings['signer']['level']}, database at {read(DATABASE).partition('@')[2]}")
print(f"in the environment: {any(read(KEY) in value for value in os.environ.values())}")
signature = hmac.new(read(KEY).encode(), b"hello", getattr(hashlib, settings["signer"]["digest"]))
print(f"hello is signed {signature.hexdigest()[:16]}")
signal.pause()
