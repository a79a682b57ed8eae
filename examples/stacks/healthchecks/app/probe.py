"""The health check of `search`: succeeds when a search does."""

import sys
import urllib.error
import urllib.request

try:
    urllib.request.urlopen("http://127.0.0.1:8000/", timeout=2).close()
except urllib.error.URLError as error:
    sys.exit(f"search: {error}")
