"""`python -m orchestr8.oci`: the same as `orchestr8-oci`."""

from orchestr8.oci.command import main

if __name__ == "__main__":
    main()
