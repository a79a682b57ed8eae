"""Containers' output to other programs: syslog and journald, beside the files that `logs` reads.

    program ─▶ shim ─▶ LogWriter                    our own files: what `logs` shows
                 └─▶ Forwarder ──queue──▶ Sender ──▶ the receiver
                      in the shim          a child of it, which may wait

`forwarder` puts what was read into a queue that the kernel holds, or counts it when there is no room; `sender` cuts it into
lines (`lines`), forms messages (`syslog`, `journal`) and speaks to the receiver (`connections`). So whatever takes time
(names, connecting, TLS, a receiver that does not read) takes it in a process that nobody waits for.

What an order says is worked out by the engine (`runtime.logorder`). All of this is in every shim but what TLS needs,
which the child that speaks it loads itself.
"""
