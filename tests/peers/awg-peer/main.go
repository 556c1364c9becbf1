// SPDX-License-Identifier: Apache-2.0

// Awg-peer is an AmneziaWG peer for tests: wireguard-go with another framing around its datagrams.
//
//	awg-peer -f [--bare-keepalives] [--unprotected-cookies] [--junk-trailers] [--under-load] [--flood] IFNAME
//
// It stays in the foreground, makes the interface and listens on /var/run/wireguard/IFNAME.sock,
// where it takes AmneziaWG's keys besides WireGuard's. Without them it is wireguard-go. LOG_LEVEL is
// verbose, error or silent.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
	"golang.zx2c4.com/wireguard/conn"
	"golang.zx2c4.com/wireguard/device"
	"golang.zx2c4.com/wireguard/ipc"
	"golang.zx2c4.com/wireguard/tun"
)

func main() {
	var q quirks
	flag.Bool("f", true, "stay in the foreground; there is no other way")
	flag.BoolVar(&q.bareKeepalives, "bare-keepalives", false, "send keepalives without the octets of S4")
	flag.BoolVar(&q.unprotectedCookies, "unprotected-cookies", false, "send cookie replies unmasked")
	flag.BoolVar(&q.junkTrailers, "junk-trailers", false, "put trailers also on junk and signature packets")
	flag.BoolVar(&q.underLoad, "under-load", false, "be under load all the time, and ask for cookies")
	flag.BoolVar(&q.floods, "flood", false, "send meaningless initiations to all peers")
	flag.Parse()
	if flag.NArg() != 1 {
		flag.Usage()
		os.Exit(2)
	}
	if err := run(flag.Arg(0), q); err != nil {
		fmt.Fprintln(os.Stderr, "awg-peer:", err)
		os.Exit(1)
	}
}

func logLevel() int {
	switch os.Getenv("LOG_LEVEL") {
	case "verbose", "debug":
		return device.LogLevelVerbose
	case "silent":
		return device.LogLevelSilent
	}
	return device.LogLevelError
}

func run(name string, q quirks) error {
	link, err := tun.CreateTUN(name, device.DefaultMTU)
	if err != nil {
		return err
	}
	file, err := ipc.UAPIOpen(name)
	if err != nil {
		return err
	}
	listener, err := ipc.UAPIListen(name, file)
	if err != nil {
		return err
	}
	logger := device.NewLogger(logLevel(), fmt.Sprintf("(%s) ", name))
	framed := newBind(conn.NewStdNetBind(), q)
	tunnel := device.NewDevice(&paddedTun{link, framed}, framed, logger)
	defer tunnel.Close()
	defer listener.Close()

	if q.floods {
		go (&flood{tunnel, framed}).run()
	}
	control := &control{tunnel, framed, logger}
	failed := make(chan error, 1)
	go func() {
		for {
			socket, err := listener.Accept()
			if err != nil {
				failed <- err
				return
			}
			go control.serve(socket)
		}
	}()

	signals := make(chan os.Signal, 1)
	signal.Notify(signals, unix.SIGTERM, os.Interrupt)
	select {
	case <-signals:
	case <-tunnel.Wait():
	case err = <-failed:
	}
	return err
}
