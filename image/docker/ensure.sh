#!/bin/sh
# Checked the environment in Kafka's images; `ottla serve` says itself what it cannot use. Modules write over this file.
