#!/bin/sh
exec start-ottla
