"""Uses each of its mounts once, says what it found, and waits."""

import os
import signal

with open("/settings/greeting.txt", encoding="utf-8") as file:
    print(f"settings: {file.read().strip()}")
try:
    with open("/settings/new.txt", "w", encoding="utf-8"):
        print("settings: can be written")
except OSError as error:
    print(f"settings: {error.strerror}")

COUNT = "/var/lib/counter/count"
count = 1
if os.path.exists(COUNT):
    with open(COUNT, encoding="utf-8") as file:
        count += int(file.read())
with open(COUNT, "w", encoding="utf-8") as file:
    file.write(str(count))
print(f"starts: {count}")

print(f"licences: {'Apache-2.0' in os.listdir('/usr/share/common-licenses')}")

scratch = os.statvfs("/scratch")
mode = os.stat("/scratch").st_mode & 0o7777
print(f"scratch: {scratch.f_blocks * scratch.f_frsize // 1024} KiB, mode {mode:o}, holds {os.listdir('/scratch')}")
with open("/scratch/note.txt", "w", encoding="utf-8") as file:
    file.write("gone after the next stop\n")

with open("/reports/last.txt", "w", encoding="utf-8") as file:
    file.write(f"start number {count}\n")
print("reports: written")
signal.pause()
