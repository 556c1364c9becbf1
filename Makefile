# SPDX-License-Identifier: Apache-2.0
# Verbs. Meson does the building: meson.build is the truth, this file only saves typing.
#
#   make            the optimized binary, build/culvert, and the man pages, build/doc
#   make run        start a gateway, as root or as anybody; ARGS='--state DIR' and the like are passed on
#   make check      lint, unit tests and corpus under ASan and UBSan, under two minutes
#   make test       everything with scaled counts, under 25 minutes
#   make soak       everything with full counts, hours; appends to tests/soak/RESULTS.md
#   make bench      rivals side by side, see bench/README.md
#   make interop    against other WireGuard implementations only
#   make fuzz       each fuzzer for FUZZ_SECONDS
#   make install    PREFIX=/usr/local DESTDIR=
#   make deps       Debian packages for all of this; the other verbs ask for what they need
#   make help       these lines

PREFIX ?= /usr/local
DESTDIR ?=
FUZZ_SECONDS ?= 60
ARGS ?=

.DEFAULT_GOAL := build
.PHONY: help build all deps check test soak bench interop fuzz run install clean

build:
	@tools/deps build
	@test -f build/build.ninja || meson setup build
	@ninja -C build program

help:
	@sed -n 's/^#   //p' Makefile

all: build
	@ninja -C build

deps:
	@tools/deps

# An ordinary user's gateway runs none of the programs in that group.
run: build
	@test "$$(id -u)" != 0 || tools/deps run
	@tools/add-user
	@build/culvert gateway $(ARGS)

check:
	@tools/deps build lint
	@tools/run-tests check

test:
	@tools/deps build run lint test
	@tools/run-tests test

soak:
	@tools/deps build run lint test
	@tools/run-tests soak

interop:
	@tools/deps build run test
	@tools/run-tests test --only interop,lab

fuzz:
	@tools/deps build fuzz
	@tests/fuzz/run $(FUZZ_SECONDS)

bench: all
	@tools/deps run bench
	@bench/run $(ARGS)

install: all
	@meson configure build -Dprefix=$(PREFIX)
	@DESTDIR=$(DESTDIR) meson install -C build
	@test -n "$(DESTDIR)" || tools/add-user

clean:
	rm -rf build build-asan build-tsan build-fuzz
