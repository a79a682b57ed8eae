#!/bin/sh
echo "signer at your service"
