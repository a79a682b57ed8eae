"""DNS for containers: messages (`wire`) and names (`zone`) are pure; `server` and `upstream` move the packets."""
