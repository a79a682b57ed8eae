"""The packet filter: rules as text (`rules`), their way into the kernel (`nft`), and what stands there (`host`)."""
