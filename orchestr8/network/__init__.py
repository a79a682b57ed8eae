"""Networks of one engine: addresses, bridges, veths, namespaces, firewall, published ports and DNS.

`manager.NetworkManager` is the way in; everything else is a part of it. Which networks and addresses there should be
is decided by `plan` and remembered by whoever calls.
"""
